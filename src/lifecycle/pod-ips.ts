import { isIPv4, isIPv6 } from 'node:net'

/**
 * A Pod's addresses among those of its sandbox: one of each family at the most, that of the node's own first address
 * before the other (kubelet_pods.go sortPodIPs). The API takes no two of a family, and plugins for more networks give some.
 */
export function podIpsAmong(sandboxIps: readonly string[], hostIps: readonly string[]): readonly string[] {
  const [hostIp = ''] = hostIps
  const families = isIPv6(hostIp) ? [isIPv6, isIPv4] : [isIPv4, isIPv6]
  return families.flatMap((isOfFamily) => sandboxIps.find(isOfFamily) ?? [])
}
