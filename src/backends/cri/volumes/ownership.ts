import { chmod, lchown, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '../../../model/kubernetes.ts'

export interface Ownership {
  readonly directory: string
  /** `spec.securityContext.fsGroup` */
  readonly fsGroup: number
  /** Volumes that containers only read get r--, others rw-; directories x and the set-group bit on top. */
  readonly readonly: boolean
  /** Told of what could not be changed; kubelet, too, goes on (not every file system has owners). */
  readonly onTrouble: (path: string, error: unknown) => void
}

/** Gives a volume to a group, deepest entries first, as kubelet's SetVolumeOwnership does. Links are not followed. */
export async function giveToGroup(ownership: Ownership): Promise<void> {
  const { directory, fsGroup, readonly, onTrouble } = ownership
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await giveToGroup({ ...ownership, directory: path })
    else await giveEntry(path, { fsGroup, readonly, onTrouble })
  }
  await giveEntry(directory, { fsGroup, readonly, onTrouble })
}

async function giveEntry(path: string, how: Omit<Ownership, 'directory'>): Promise<void> {
  try {
    // -1 keeps the owner.
    await lchown(path, -1, how.fsGroup)
  } catch (error) {
    how.onTrouble(path, error)
  }
  const stats = await lstat(path)
  if (stats.isSymbolicLink()) return
  const kind = { readonly: how.readonly, directory: stats.isDirectory() }
  try {
    await chmod(path, groupMode(stats.mode & 0o7777, kind))
  } catch (error) {
    how.onTrouble(path, error)
  }
}

/** The mode with what the group needs on top: it may read, write unless `readonly`, and search directories. */
export function groupMode(
  mode: number,
  { readonly, directory }: { readonly readonly: boolean; readonly directory: boolean },
): number {
  return mode | (readonly ? 0o440 : 0o660) | (directory ? 0o2110 : 0)
}

/** The user that all of a Pod's containers run as, if they agree: tokens are made readable by it alone. */
export function commonUser(pod: Pod): number | undefined {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {}
  const users = [...initContainers, ...containers, ...ephemeralContainers].map(
    (container) => container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser,
  )
  return users.every((user) => user === users[0]) ? users[0] : undefined
}
