import { readFileSync } from 'node:fs'
import { arch, release } from 'node:os'
import type { NodePlace } from './node-object.ts'

/** The facts about this machine that the nodes' `nodeInfo` tells. */
export function thisPlace({ address, port }: { readonly address: string; readonly port: number }): NodePlace {
  return {
    address,
    port,
    os: 'linux',
    architecture: goArchitecture(arch()),
    kernelVersion: release(),
    osImage: osReleaseName(readOr('/etc/os-release', '')),
    machineId: readOr('/etc/machine-id', '').trim(),
  }
}

/** `PRETTY_NAME` of os-release(5); `Linux` where it says nothing. */
export function osReleaseName(osRelease: string): string {
  return /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(osRelease)?.[1] ?? 'Linux'
}

/** Node's words for processors in Go's, which Kubernetes uses. */
export function goArchitecture(nodeArchitecture: string): string {
  const words: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
  return words[nodeArchitecture] ?? nodeArchitecture
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise
  }
}
