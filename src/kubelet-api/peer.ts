import { isIPv4 } from 'node:net'
import { ip6Groups } from '../model/ip-groups.ts'

/**
 * Who a connection is counted for: an IPv4 address, or the /64 of an IPv6 address, which one machine has all of. Pure.
 * Empty when the address is not known any more.
 */
export function peerOf(address: string | undefined): string {
  if (address === undefined) return ''
  const mapped = address.replace(/^::ffff:/i, '')
  if (isIPv4(mapped)) return mapped
  return ip6Groups(address.split('%')[0] ?? '')
    .slice(0, 4)
    .join(':')
}
