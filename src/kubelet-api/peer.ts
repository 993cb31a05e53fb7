import { isIPv4 } from 'node:net'

/**
 * Who a connection is counted for: an IPv4 address, or the /64 of an IPv6 address, which one machine has all of. Pure.
 * Empty when the address is not known any more.
 */
export function peerOf(address: string | undefined): string {
  if (address === undefined) return ''
  const mapped = address.replace(/^::ffff:/i, '')
  if (isIPv4(mapped)) return mapped
  const [head = '', tail = ''] = (address.split('%')[0] ?? '').split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const after = tail.split(':').filter((group) => group !== '')
  const zeros = Array.from({ length: Math.max(8 - groups.length - after.length, 0) }, () => '0')
  return [...groups, ...zeros, ...after].slice(0, 4).join(':')
}
