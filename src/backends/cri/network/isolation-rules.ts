import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { NodeDoor } from '../../../model/node-door.ts'
import { familyOf, ip6Number, linkLocalAddress, ofFamily, parseNetwork, type IpFamily } from './ip-network.ts'
import type { SandboxLink } from './sandbox-link.ts'

export interface IsolationFacts {
  /** Of the tables; see `tableName`. */
  readonly table: string
  /** As in `53/UDP`. */
  readonly hostPorts: readonly string[]
  readonly blockedAddresses: readonly string[]
  /** Name servers outside of the cluster that Pods are given; at their port for names they may be reached. */
  readonly nameServers: readonly string[]
  readonly doors: readonly NodeDoor[]
  readonly links: readonly SandboxLink[]
}

/** What can change while Pods run. */
export type LiveFacts = Pick<IsolationFacts, 'doors' | 'links'>

/** Of the tables of one backend, whose name people recognise and nobody else's has. */
export function tableName(owner: {
  readonly clusterUid: string
  readonly instance: string
  readonly backend: string
}): string {
  const { clusterUid, instance, backend } = owner
  const hash = createHash('sha256').update(`${clusterUid}\n${instance}\n${backend}`).digest('hex').slice(0, 8)
  return `spillway-${instance.replace(/[^a-zA-Z0-9_-]/g, '-').slice(0, 60)}-${hash}`
}

/**
 * Two tables, in the words of nft. Both let through of a Pod only what it sends as itself: `bridge` for ports of a bridge,
 * where a Pod could answer for its neighbours, `inet` for interfaces of the machine. Not at the device itself (family
 * netdev): what the traffic control of CNI's bandwidth plugin has redirected never gets there, so an annotation of the
 * Pod's would switch it off. Who a packet's sender is can then be told by its address, whatever the CNI plugin: so `inet`
 * keeps Pods from the machine and from what lies beyond it. Set anew as a whole, in one transaction.
 */
export function wholeScript(facts: IsolationFacts): string {
  const { table, links, doors } = facts
  const live = changeScript(table, { doors: [], links: [] }, { doors, links })
  return `${removalScript(table)}
table bridge ${table} {
${bridgeRules}
}
table inet ${table} {
${inetSets(facts)}
${inetChains}
}
${live}`
}

const bridgeRules = `  counter spoofed { }
  map wires { type ifname : verdict; }
  chain prerouting {
    type filter hook prerouting priority filter; policy accept;
    iifname vmap @wires
  }`

function inetSets(facts: IsolationFacts): string {
  return `  counter spoofed { }
  counter to_machine { }
  counter to_blocked { }
  counter to_kubelet { }
  map wires { type ifname : verdict; }
  set pods4 { type ipv4_addr; }
  set pods6 { type ipv6_addr; }
  set doors4 { type ipv4_addr . inet_service; }
  set doors6 { type ipv6_addr . inet_service; }
  set blocked4 { type ipv4_addr; flags interval; auto-merge; ${elements(networks(facts, 4))}}
  set blocked6 { type ipv6_addr; flags interval; auto-merge; ${elements(networks(facts, 6))}}
  set names4 { type ipv4_addr; ${elements(ofFamily(facts.nameServers, 4))}}
  set names6 { type ipv6_addr; ${elements(ofFamily(facts.nameServers, 6))}}
  set open { type inet_proto . inet_service; ${elements(facts.hostPorts.map(openPort))}}`
}

const inetChains = `  chain prerouting {
    type filter hook prerouting priority raw - 10; policy accept;
    iifname vmap @wires
  }
  chain input {
    type filter hook input priority filter - 10; policy accept;
    ip saddr @pods4 jump machine
    ip6 saddr @pods6 jump machine
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    ip saddr @pods4 jump beyond
    ip6 saddr @pods6 jump beyond
  }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain names {
    ip daddr @names4 meta l4proto { tcp, udp } th dport 53 accept
    ip6 daddr @names6 meta l4proto { tcp, udp } th dport 53 accept
  }
  chain machine {
    ct state established,related accept
    icmp type echo-request accept
    icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert } accept
    meta l4proto . th dport @open accept
    jump names
    counter name to_machine goto refuse
  }
  chain beyond {
    ct state established,related accept
    jump names
    ip daddr @blocked4 counter name to_blocked goto refuse
    ip6 daddr @blocked6 counter name to_blocked goto refuse
    ip daddr . tcp dport @doors4 counter name to_kubelet goto refuse
    ip6 daddr . tcp dport @doors6 counter name to_kubelet goto refuse
  }`

/** From one state to another, in one transaction; '' when nothing differs. */
export function changeScript(table: string, before: LiveFacts, after: LiveFacts): string {
  const gone = missingFrom(after.links, before.links)
  const come = missingFrom(before.links, after.links)
  const lines = [
    ...gone.flatMap((link) => removeLink(table, link)),
    ...come.flatMap((link) => addLink(table, link)),
    ...changeSet(table, 'pods', addressesOf(before.links), addressesOf(after.links)),
    ...changeSet(table, 'doors', doorElements(before.doors), doorElements(after.doors)),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

/** Takes both tables away; harmless when they are not there. */
export function removalScript(table: string): string {
  return ['bridge', 'inet']
    .flatMap((family) => [`add table ${family} ${table}`, `delete table ${family} ${table}`])
    .join('\n')
}

function addLink(table: string, link: SandboxLink): string[] {
  const at = `${familyOfLink(link)} ${table}`
  const chain = chainOf(link)
  const rules = linkRules(link).map((rule) => `add rule ${at} ${chain} ${rule}`)
  return [`add chain ${at} ${chain}`, ...rules, `add element ${at} wires { ${wire(link)} }`]
}

function removeLink(table: string, link: SandboxLink): string[] {
  const at = `${familyOfLink(link)} ${table}`
  const chain = chainOf(link)
  return [
    `delete element ${at} wires { ${wire(link)} }`,
    `flush chain ${at} ${chain}`,
    `delete chain ${at} ${chain}`,
  ]
}

/** What a Pod may send. Everything else is dropped: also protocols that nobody uses here, and IPv6 routers' words. */
function linkRules(link: SandboxLink): string[] {
  const { mac, addresses, bridged } = link
  const own4 = ofFamily(addresses, 4).join(', ')
  const own6 = ofFamily(addresses, 6)
  // For finding neighbours it may speak from the address that its kernel makes by itself, and for that address.
  const local = (mac !== undefined && linkLocalAddress(mac)) || undefined
  const speakers = [...own6, ...(local ? [local] : [])]
  const askers = ['::', ...speakers].join(', ')
  const asks =
    'icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld-listener-done, mld2-listener-report } accept'
  return [
    ...(mac && bridged ? [`ether saddr != ${mac} counter name spoofed drop`] : []),
    ...(own4 ? [`ip saddr { ${own4} } accept`] : []),
    ...(own4 && bridged ? [`arp ${mac ? `saddr ether ${mac} arp ` : ''}saddr ip { ${own4} } accept`] : []),
    `ip6 saddr { ${askers} } ${asks}`,
    ...(speakers.length > 0 ? advertRules(speakers) : []),
    ...(own6.length > 0 ? [`ip6 saddr { ${own6.join(', ')} } accept`] : []),
    'counter name spoofed drop',
  ]
}

/** As `icmpv6 taddr` of newer nft: the target is the 128 bits after type, code, checksum and flags. */
function advertRules(speakers: readonly string[]): string[] {
  const targets = speakers.map(ip6Number).join(', ')
  return [
    `ip6 saddr { ${speakers.join(', ')} } icmpv6 type nd-neighbor-advert @th,64,128 { ${targets} } accept`,
    'icmpv6 type { nd-neighbor-advert, nd-router-advert, nd-redirect } counter name spoofed drop',
  ]
}

function familyOfLink({ bridged }: SandboxLink): 'bridge' | 'inet' {
  return bridged ? 'bridge' : 'inet'
}

function chainOf({ sandboxId }: SandboxLink): string {
  return `pod-${sandboxId}`
}

function wire(link: SandboxLink): string {
  return `"${link.hostInterface}" : jump ${chainOf(link)}`
}

/** Those of the others that the list has not, or has otherwise. */
function missingFrom(list: readonly SandboxLink[], others: readonly SandboxLink[]): readonly SandboxLink[] {
  const known = new Map(list.map((link) => [link.sandboxId, link]))
  return others.filter((link) => !isDeepStrictEqual(known.get(link.sandboxId), link))
}

function addressesOf(links: readonly SandboxLink[]): readonly SetElement[] {
  return links.flatMap(({ addresses }) =>
    addresses.flatMap((address): SetElement[] => {
      const family = familyOf(address)
      return family ? [{ family, text: address }] : []
    }),
  )
}

function doorElements(doors: readonly NodeDoor[]): readonly SetElement[] {
  return doors.flatMap(({ address, port }): SetElement[] => {
    const family = familyOf(address)
    return family ? [{ family, text: `${address} . ${port}` }] : []
  })
}

interface SetElement {
  readonly family: IpFamily
  readonly text: string
}

function changeSet(
  table: string,
  name: string,
  before: readonly SetElement[],
  after: readonly SetElement[],
): string[] {
  return ([4, 6] as const).flatMap((family) => {
    const [were, are] = [before, after].map(
      (list) => new Set(list.filter((element) => element.family === family).map(({ text }) => text)),
    ) as [Set<string>, Set<string>]
    const change = (verb: string, texts: readonly string[]): string[] =>
      texts.length > 0 ? [`${verb} element inet ${table} ${name}${family} { ${texts.join(', ')} }`] : []
    return [
      ...change(
        'delete',
        [...were].filter((text) => !are.has(text)),
      ),
      ...change(
        'add',
        [...are].filter((text) => !were.has(text)),
      ),
    ]
  })
}

function networks({ blockedAddresses }: IsolationFacts, family: IpFamily): readonly string[] {
  return blockedAddresses
    .flatMap((text) => parseNetwork(text) ?? [])
    .filter((network) => network.family === family)
    .map(({ text }) => text)
}

function openPort(hostPort: string): string {
  const [port, protocol = ''] = hostPort.split('/')
  return `${protocol.toLowerCase()} . ${port}`
}

// nft takes no empty list.
function elements(texts: readonly string[]): string {
  return texts.length > 0 ? `elements = { ${texts.join(', ')} } ` : ''
}
