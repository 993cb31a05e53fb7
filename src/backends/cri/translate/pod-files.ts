import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SpillwayError } from '../../../model/errors.ts'
import type { Pod } from '../../../model/kubernetes.ts'

/** The names of a Pod. */
export interface PodHostname {
  readonly hostname: string
  /** `subdomain.namespace.svc.cluster.local`; '' without a subdomain. */
  readonly domain: string
  /** What the sandbox is given: the hostname, or the full name with `setHostnameAsFQDN`. */
  readonly sandboxHostname: string
}

// The kernel keeps 64 bytes, one of them the end.
const longestHostname = 63
// With setHostnameAsFQDN the whole has to fit (pkg/kubelet/util SetFQDNHostname).
const longestFqdn = 64

/** Rejected: the full name is asked for and too long. */
export function podHostname(pod: Pod, clusterDomain: string): PodHostname {
  const spec = pod.spec
  if (spec?.hostnameOverride) {
    const hostname = truncated(spec.hostnameOverride)
    return { hostname, domain: '', sandboxHostname: hostname }
  }
  const hostname = truncated(spec?.hostname || (pod.metadata?.name ?? ''))
  const domain = spec?.subdomain
    ? `${spec.subdomain}.${pod.metadata?.namespace ?? ''}.svc.${clusterDomain}`
    : ''
  if (!spec?.setHostnameAsFQDN || domain === '') return { hostname, domain, sandboxHostname: hostname }
  const full = `${hostname}.${domain}`
  if (full.length > longestFqdn) {
    throw new SpillwayError(
      'Rejected',
      `failed to construct FQDN from pod hostname and cluster domain, FQDN ${full} is too long (${longestFqdn} characters is the max, ${full.length} characters requested)`,
    )
  }
  return { hostname, domain, sandboxHostname: full }
}

function truncated(hostname: string): string {
  return hostname.length <= longestHostname
    ? hostname
    : hostname.slice(0, longestHostname).replace(/[-.]+$/, '')
}

export interface EtcHostsInput {
  readonly pod: Pod
  /** The directory that the file is written to; made if missing. */
  readonly podDir: string
  /** Primary first. */
  readonly podIps: readonly string[]
  readonly clusterDomain: string
}

/**
 * Writes the file that is mounted at /etc/hosts and answers its path. In place, not by renaming: containers that run
 * have the file itself mounted.
 */
export async function writeEtcHosts({ pod, podDir, podIps, clusterDomain }: EtcHostsInput): Promise<string> {
  const nodeHosts = pod.spec?.hostNetwork ? await readFile('/etc/hosts', 'utf8') : undefined
  const { hostname, domain } = podHostname(pod, clusterDomain)
  const path = join(podDir, 'etc-hosts')
  await mkdir(podDir, { recursive: true })
  await writeFile(path, etcHosts({ pod, podIps, hostname, domain, nodeHosts }), { mode: 0o644 })
  return path
}

/** The content of /etc/hosts, the same as kubelet writes. `nodeHosts`: the node's own, for a Pod on its network. */
export function etcHosts({
  pod,
  podIps,
  hostname,
  domain,
  nodeHosts,
}: {
  readonly pod: Pod
  readonly podIps: readonly string[]
  readonly hostname: string
  readonly domain: string
  readonly nodeHosts: string | undefined
}): string {
  const aliases = aliasLines(pod)
  if (nodeHosts !== undefined)
    return `# Kubernetes-managed hosts file (host network).\n${nodeHosts}${aliases}`
  const names = domain === '' ? hostname : `${hostname}.${domain}\t${hostname}`
  return [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...podIps.map((ip) => `${ip}\t${names}`),
    aliases,
  ].join('\n')
}

function aliasLines(pod: Pod): string {
  const aliases = pod.spec?.hostAliases ?? []
  if (aliases.length === 0) return ''
  const lines = aliases.map(({ ip, hostnames = [] }) => `${ip ?? ''}\t${hostnames.join('\t')}\n`)
  return `\n# Entries added by HostAliases.\n${lines.join('')}`
}
