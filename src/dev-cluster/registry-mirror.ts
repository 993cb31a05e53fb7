import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClusterLayout } from './cluster-layout.ts'
import { writeIfChanged } from './write-if-changed.ts'

/** Where an image comes from when the mirror lacks it. */
export const upstreams: Readonly<Record<string, string>> = {
  'docker.io': 'https://registry-1.docker.io',
  'registry.k8s.io': 'https://registry.k8s.io',
}

/** containerd's folder of `hosts.toml` files (`registry.config_path`); it is read at each pull. */
export function mirrorDir({ stateDir }: Pick<ClusterLayout, 'stateDir'>): string {
  return join(stateDir, 'certs.d')
}

/**
 * containerd's `hosts.toml` that asks our registry first. `upstream` is who is asked after it; left out, containerd takes
 * the host of the image's name.
 */
export function mirrorHostsToml(registryUrl: string, upstream?: string): string {
  const server = upstream === undefined ? '' : `server = "${upstream}"\n\n`
  return `${server}[host."${registryUrl.replace(/\/+$/, '')}"]\n  capabilities = ["pull", "resolve"]\n`
}

/**
 * Makes our registry the mirror of every registry. Of the well-known ones those that `reachable` names are asked too, the
 * others are not: with a name server that does not answer, each would keep a pull of a missing image for most of a minute.
 */
export async function writeMirrorConfig(
  certsDir: string,
  registryUrl: string,
  reachable: ReadonlySet<string>,
): Promise<void> {
  const known = Object.entries(upstreams).map(
    ([host, url]) => [host, reachable.has(host) ? url : registryUrl] as const,
  )
  for (const [host, upstream] of [...known, ['_default', undefined] as const]) {
    await mkdir(join(certsDir, host), { recursive: true })
    await writeIfChanged(join(certsDir, host, 'hosts.toml'), mirrorHostsToml(registryUrl, upstream))
  }
}
