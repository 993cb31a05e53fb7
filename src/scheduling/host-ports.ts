import type { Pod } from '../model/kubernetes.ts'

export interface HostPort {
  readonly protocol: string
  readonly ip: string
  readonly port: number
}

/** The host's ports that the Pod holds; those of sidecars too, since they run beside the containers. */
export function hostPorts(pod: Pod): HostPort[] {
  const { containers = [], initContainers = [] } = pod.spec ?? {}
  return [
    ...containers,
    ...initContainers.filter((container) => container.restartPolicy === 'Always'),
  ].flatMap(({ ports = [] }) =>
    ports
      .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
      .map(({ protocol = 'TCP', hostIP = '', hostPort = 0 }) => ({
        protocol,
        ip: hostIP || '0.0.0.0',
        port: hostPort,
      })),
  )
}

/** 0.0.0.0 takes the port on every address. */
export function portsClash(a: HostPort, b: HostPort): boolean {
  return (
    a.port === b.port &&
    a.protocol === b.protocol &&
    (a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0')
  )
}
