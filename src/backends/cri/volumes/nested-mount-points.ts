import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '../../../model/kubernetes.ts'

/**
 * Directories for mounts that lie inside this volume (`/etc/app` here, `/etc/app/tls` there): the runtime cannot make
 * them itself when the volume is mounted read-only. kubelet's MakeNestedMountpoints.
 */
export async function makeNestedMountPoints({
  pod,
  volume,
  directory,
}: {
  readonly pod: Pod
  readonly volume: string
  readonly directory: string
}): Promise<void> {
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  for (const { volumeMounts = [] } of [...initContainers, ...containers]) {
    const places = volumeMounts.map(({ mountPath }) => withoutEnd(mountPath)).sort()
    for (const outer of volumeMounts) {
      // Through a sub-path the files lie elsewhere in the volume, where nothing can be made beforehand.
      if (outer.name !== volume || outer.subPath || outer.subPathExpr) continue
      for (const relative of outermostBelow(withoutEnd(outer.mountPath), places)) {
        // Names with two dots in front belong to the atomic writer; the API server refuses a `..` part.
        if (relative.startsWith('..')) continue
        await mkdir(join(directory, relative), { recursive: true, mode: 0o755 }).catch(ignoreFile)
      }
    }
  }
}

/** Of the sorted places those below `root`, relative to it; not those below another one, whose volume has them. */
function outermostBelow(root: string, places: readonly string[]): string[] {
  const found: string[] = []
  for (const place of places) {
    if (!place.startsWith(`${root}/`)) continue
    const relative = place.slice(root.length + 1)
    if (!found.some((outer) => relative === outer || relative.startsWith(`${outer}/`))) found.push(relative)
  }
  return found
}

function withoutEnd(path: string): string {
  return path.replace(/\/+$/, '')
}

/** A file of the volume (or a link to one) in that place serves as the mount point. */
function ignoreFile(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error
}
