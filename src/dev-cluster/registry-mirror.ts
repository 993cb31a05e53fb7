import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where an image comes from when the mirror lacks it. */
const upstreams: Readonly<Record<string, string>> = {
  'docker.io': 'https://registry-1.docker.io',
  'registry.k8s.io': 'https://registry.k8s.io',
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
 * Writes a `certs.d` folder (containerd's `registry.config_path`) that makes our registry the mirror of every registry.
 */
export async function writeMirrorConfig(certsDir: string, registryUrl: string): Promise<void> {
  const hosts: readonly (readonly [string, string | undefined])[] = [
    ...Object.entries(upstreams),
    ['_default', undefined],
  ]
  for (const [host, upstream] of hosts) {
    await mkdir(join(certsDir, host), { recursive: true })
    await writeFile(join(certsDir, host, 'hosts.toml'), mirrorHostsToml(registryUrl, upstream))
  }
}
