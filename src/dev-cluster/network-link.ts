import { SpillwayError } from '../model/errors.ts'
import { highestIndex } from './cluster-layout.ts'
import type { ClusterLayout } from './cluster-layout.ts'
import { outputTail, runCommand, type CommandOptions } from './command.ts'

interface IpRoute {
  readonly dst?: string
  readonly dev?: string
}

/**
 * The first number whose network and link name nobody has: not another cluster (`taken`), and no address, route or link
 * of this machine. Rejects with Environment when there is none.
 */
export async function findFreeIndex(
  taken: ReadonlySet<number>,
  command: CommandOptions,
  signal: AbortSignal,
): Promise<number> {
  // The local table has our own addresses too.
  const routes = JSON.parse(
    await run(['-json', '-4', 'route', 'show', 'table', 'all'], command, signal),
  ) as IpRoute[]
  const links = JSON.parse(await run(['-json', 'link', 'show'], command, signal)) as { ifname: string }[]
  const names = new Set(links.map(({ ifname }) => ifname))
  for (let index = 1; index <= highestIndex; index += 1) {
    if (taken.has(index) || names.has(`spillway${index}`)) continue
    if (!routes.some(({ dst }) => dst !== undefined && clashes(dst, index))) return index
  }
  throw new SpillwayError(
    'Environment',
    `The networks 10.200.1.0/24 to 10.200.${highestIndex}.0/24 are all in use on this machine (see "ip route"): take one away, or stop a cluster with "npm run down -- --name NAME".`,
  )
}

/**
 * Whether a route is about addresses of 10.200.INDEX.0/24. One that covers more than 10.200.0.0/16 is not: ours is the
 * more specific and wins, and a company's 10.0.0.0/8 must not keep everybody there from starting a cluster.
 */
export function clashes(destination: string, index: number): boolean {
  const match = /^(\d+)\.(\d+)\.(\d+)\.\d+(?:\/(\d+))?$/.exec(destination)
  if (!match) return false
  const [first, second, third] = match.slice(1, 4).map(Number)
  const prefix = match[4] === undefined ? 32 : Number(match[4])
  if (prefix < 16 || first !== 10 || second !== 200) return false
  const sharedBits = Math.min(prefix, 24) - 16
  const mask = (0xff << (8 - sharedBits)) & 0xff
  return ((third ?? 0) & mask) === (index & mask)
}

/** Lays the wire between the host and the namespace of that process, with both addresses, and puts it into service. */
export async function createLink(
  layout: ClusterLayout,
  initPid: number,
  command: CommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const { hostLink, hostAddress } = layout
  await removeLink(hostLink, command, signal)
  const inner = `peer name ${innerLink} address ${macAddress(layout.index)} netns ${initPid}`
  await run(['link', 'add', hostLink, 'type', 'veth', ...inner.split(' ')], command, signal)
  await run(['address', 'add', `${hostAddress}/24`, 'dev', hostLink], command, signal)
  await run(['link', 'set', hostLink, 'up'], command, signal)
}

export const innerLink = 'eth0'

/** Shell commands for the inner end, to be run in the namespace. */
export function innerLinkCommands(layout: ClusterLayout): string {
  return [
    'ip link set lo up',
    `ip address add ${layout.nodeAddress}/24 dev ${innerLink}`,
    `ip link set ${innerLink} up`,
    `ip route add default via ${layout.hostAddress}`,
    'echo 1 > /proc/sys/net/ipv4/ip_forward',
    // Pods of one bridge reach each other through Services only if bridged packets pass the Service rules on the way
    // back too. The file is missing where the br_netfilter module is not loaded.
    'if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables; fi',
  ].join('\n')
}

/** Takes the wire away; both ends go. Harmless when it is gone. */
export async function removeLink(
  hostLink: string,
  command: CommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const { exitCode, stderr } = await runCommand('ip', ['link', 'delete', hostLink], command, signal)
  if (exitCode === 0 || stderr.includes('Cannot find device')) return
  throw new SpillwayError('Environment', `the link ${hostLink} cannot be deleted: ${outputTail(stderr)}`)
}

export interface PodNetworkRules {
  /** Everything that Pods have addresses from. */
  readonly podsNetwork: string
  /** Addresses of Pods that kube-proxy takes for another machine's. */
  readonly virtualAddresses: readonly string[]
}

/**
 * nftables rules of the cluster: Pods see each other without address translation, whichever bridge they are on, and
 * only what leaves the Pods' networks takes the node's address. (The bridge plugin's own ipMasq knows one bridge.)
 * A Pod that reaches itself through a Service needs another sender's address, or it would throw its own packet away;
 * kube-proxy sees to that for the Pods of its own node alone, and virtual nodes share the server's. nftables cannot
 * compare two fields of a packet, hence the list of pairs.
 */
export function podNetworkRules({ podsNetwork, virtualAddresses }: PodNetworkRules): string {
  const pairs = virtualAddresses.map((address) => `${address} . ${address}`)
  return `table ip spillway {
  set hairpin {
    type ipv4_addr . ipv4_addr
    elements = { ${pairs.join(', ')} }
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ip saddr . ip daddr @hairpin masquerade
    ip saddr ${podsNetwork} ip daddr != ${podsNetwork} oifname "${innerLink}" masquerade
  }
}
`
}

// Fixed, so that the host's neighbour table stays true when a cluster of the same number follows at once.
function macAddress(index: number): string {
  return `02:53:50:4c:00:${index.toString(16).padStart(2, '0')}`
}

async function run(args: readonly string[], command: CommandOptions, signal: AbortSignal): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand('ip', args, command, signal)
  if (exitCode === 0) return stdout
  throw new SpillwayError('Environment', `"ip ${args.join(' ')}" failed: ${outputTail(stderr)}`)
}
