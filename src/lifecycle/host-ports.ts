import type { Pod } from '../model/kubernetes.ts'
import { isSidecar } from '../model/resources.ts'

export const anyAddress = '0.0.0.0'

/** A port of the node that a Pod takes. */
export interface HostPort {
  readonly port: number
  readonly containerPort: number
  /** `TCP`, `UDP` or `SCTP`. */
  readonly protocol: string
  /** `anyAddress` for all of them. */
  readonly ip: string
}

/** What the Pod takes of its node's ports: its containers' and sidecars'. */
export function hostPortsOf(pod: Pod): HostPort[] {
  const { containers = [], initContainers = [] } = pod.spec ?? {}
  return [...initContainers.filter(isSidecar), ...containers]
    .flatMap(({ ports }) => ports ?? [])
    .filter(({ hostPort }) => (hostPort ?? 0) > 0)
    .map(({ hostPort = 0, containerPort, protocol, hostIP }) => {
      return { port: hostPort, containerPort, protocol: protocol || 'TCP', ip: hostIP || anyAddress }
    })
}

export function portsClash(a: HostPort, b: HostPort): boolean {
  const sameAddress = a.ip === b.ip || a.ip === anyAddress || b.ip === anyAddress
  return a.port === b.port && a.protocol === b.protocol && sameAddress
}
