import { longName } from '../../../lifecycle/round.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import type { NodeFacts } from '../../backend.ts'

/** The content of a Pod's resolv.conf, as CRI takes it. */
export interface DnsConfig {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  /** As in `ndots:5`. */
  readonly options: readonly string[]
  /** Sentences for the Pod's events (`DNSConfigForming`, `MissingClusterDNS`): what had to be left out. */
  readonly warnings: readonly DnsWarning[]
}

export interface DnsWarning {
  readonly reason: 'DNSConfigForming' | 'MissingClusterDNS'
  readonly message: string
}

interface Resolver {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

// The limits of the API's own validation.
const mostServers = 3
const mostSearches = 32
const longestSearchLine = 2048
const longestDomain = 253

/**
 * dnsPolicy and dnsConfig → resolv.conf, as kubelet (pkg/kubelet/network/dns). `hostResolvConf` is the text of the
 * node's file. Pure.
 */
export function dnsConfig(pod: Pod, node: NodeFacts, hostResolvConf: string): DnsConfig {
  const warnings: DnsWarning[] = []
  const base = baseResolver(pod, { node, host: parseResolvConf(hostResolvConf) }, warnings)
  const { nameservers = [], searches = [], options = [] } = pod.spec?.dnsConfig ?? {}
  const merged = {
    servers: unique([...base.servers, ...nameservers]),
    searches: unique([...base.searches, ...searches]),
    options: mergeOptions([
      ...base.options,
      ...options.map(({ name = '', value }) => (value ? `${name}:${value}` : name)),
    ]),
  }
  return {
    servers: limitServers(merged.servers, warnings),
    searches: limitSearches(merged.searches, warnings),
    options: merged.options,
    warnings,
  }
}

function baseResolver(
  pod: Pod,
  { node, host }: { readonly node: NodeFacts; readonly host: Resolver },
  warnings: DnsWarning[],
): Resolver {
  const { dnsPolicy = 'ClusterFirst', hostNetwork = false } = pod.spec ?? {}
  if (dnsPolicy === 'None') return { servers: [], searches: [], options: [] }
  if (dnsPolicy === 'Default' || (dnsPolicy === 'ClusterFirst' && hostNetwork)) return host
  if (node.clusterDns.length > 0) {
    const { clusterDomain } = node
    const ofCluster = clusterDomain
      ? [`${pod.metadata?.namespace ?? ''}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain]
      : []
    return {
      servers: node.clusterDns,
      searches: unique([...ofCluster, ...host.searches]),
      options: ['ndots:5'],
    }
  }
  warnings.push({
    reason: 'MissingClusterDNS',
    message: `pod: "${longName(pod)}". kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`,
  })
  return host
}

/** `nameserver` lines add up; of `search` the last counts; options by name, the last counts. */
export function parseResolvConf(text: string): Resolver {
  const servers: string[] = []
  let searches: string[] = []
  let options: string[] = []
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/)
    if (keyword === 'nameserver' && values[0]) servers.push(values[0])
    if (keyword === 'search') {
      searches = values.filter((domain) => domain !== '.').map((domain) => domain.replace(/\.$/, ''))
    }
    if (keyword === 'options') options = mergeOptions([...options, ...values])
  }
  return { servers, searches, options }
}

function mergeOptions(options: readonly string[]): string[] {
  const byName = new Map(options.map((option) => [option.split(':', 1)[0] ?? option, option]))
  return [...byName.values()]
}

function limitServers(servers: readonly string[], warnings: DnsWarning[]): readonly string[] {
  if (servers.length <= mostServers) return servers
  const kept = servers.slice(0, mostServers)
  warnings.push({
    reason: 'DNSConfigForming',
    message: `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${kept.join(' ')}`,
  })
  return kept
}

function limitSearches(searches: readonly string[], warnings: DnsWarning[]): readonly string[] {
  // glibc 2.28 aborts on a domain that is longer than a name can be.
  const kept = searches.slice(0, mostSearches).filter((domain) => domain.length <= longestDomain)
  while (kept.join(' ').length > longestSearchLine) kept.pop()
  if (kept.length < searches.length) {
    warnings.push({
      reason: 'DNSConfigForming',
      message: `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${kept.join(' ')}`,
    })
  }
  return kept
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}
