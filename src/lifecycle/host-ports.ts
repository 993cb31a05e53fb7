import type { Pod } from '../model/kubernetes.ts'
import { isSidecar } from '../model/resources.ts'

/** A port of the node that a Pod takes. */
export interface HostPort {
  readonly port: number
  readonly protocol: string
  /** `0.0.0.0` for all addresses. */
  readonly ip: string
}

/** What the Pod takes of its node's ports: its containers' and sidecars'. */
export function hostPortsOf(pod: Pod): HostPort[] {
  const { containers = [], initContainers = [] } = pod.spec ?? {}
  return [...initContainers.filter(isSidecar), ...containers]
    .flatMap(({ ports }) => ports ?? [])
    .filter(({ hostPort }) => (hostPort ?? 0) > 0)
    .map(({ hostPort = 0, protocol, hostIP }) => {
      return { port: hostPort, protocol: protocol || 'TCP', ip: hostIP || '0.0.0.0' }
    })
}

export function portsClash(a: HostPort, b: HostPort): boolean {
  const sameAddress = a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0'
  return a.port === b.port && a.protocol === b.protocol && sameAddress
}
