import type { CniInterfaces } from '../runtime/cni-interfaces.ts'
import type { SandboxStatus } from '../runtime/cri-types.ts'

/** How a sandbox hangs on the machine's network: the end of its wire that the machine has, and who it is at that wire. */
export interface SandboxLink {
  readonly sandboxId: string
  /** As in `vethd2f3a1`; on the machine. */
  readonly hostInterface: string
  /** Whether that is a port of a bridge, whose frames then pass the bridge before they are the machine's. */
  readonly bridged: boolean
  /** Of the sandbox's end. Left out: the CNI plugin does not tell. */
  readonly mac?: string
  readonly addresses: readonly string[]
}

/**
 * What the machine has of an interface. `ifb` is where the bandwidth plugin sends what a Pod sends; `port` of a bridge; `captive` of something whose traffic our rules do not see;
 * `device`: not made by software, and so nobody's end of a wire.
 */
export type InterfaceKind = 'bridge' | 'ifb' | 'port' | 'captive' | 'device' | 'free' | 'none'

const podInterface = 'eth0'

/** Whether the sandbox has the machine's own network, and so nothing of its own to be isolated. */
export function isOnHostNetwork({ linux }: SandboxStatus): boolean {
  return linux?.namespaces?.options?.network === 'NODE'
}

/**
 * Read from what the runtime tells of a sandbox's network; undefined while it names no interface, or none that is left.
 * What plugins list beside the Pod's own end is passed over: the bridge, the bandwidth plugin's device.
 */
export function sandboxLink(
  status: SandboxStatus,
  interfaces: CniInterfaces,
  kinds: ReadonlyMap<string, InterfaceKind>,
): SandboxLink | undefined {
  const ends = hostInterfaces(interfaces)
    .map((name) => ({ name, kind: kinds.get(name) ?? 'none' }))
    .filter(({ kind }) => kind !== 'bridge' && kind !== 'ifb' && kind !== 'none')
  const [end, ...others] = ends
  if (!end || others.length > 0 || (end.kind !== 'port' && end.kind !== 'free')) return undefined
  const addresses = [status.network?.ip, ...(status.network?.additionalIps ?? []).map(({ ip }) => ip)]
  const mac = interfaces[podInterface]?.Mac?.toLowerCase()
  return {
    sandboxId: status.id,
    hostInterface: end.name,
    bridged: end.kind === 'port',
    ...(mac && { mac }),
    addresses: addresses.filter((address) => address !== undefined && address !== '') as string[],
  }
}

/** Those that the CNI plugins have made, or used, on the machine. */
export function hostInterfaces(interfaces: CniInterfaces): readonly string[] {
  return (
    Object.entries(interfaces)
      // Where no plugin tells of the Pod's own end, containerd makes it up without a place: it is not the machine's eth0.
      .filter(([name, { Sandbox }]) => !Sandbox && name !== podInterface)
      .map(([name]) => name)
  )
}
