import { isIP } from 'node:net'
import { ip6Groups } from '../../../model/ip-groups.ts'

export type IpFamily = 4 | 6

export interface IpNetwork {
  readonly family: IpFamily
  /** As in `169.254.0.0/16`; the prefix is always there. */
  readonly text: string
}

const bits: Readonly<Record<IpFamily, number>> = { 4: 32, 6: 128 }

/** An address or a network in its usual notation; undefined when it is neither. */
export function parseNetwork(text: string): IpNetwork | undefined {
  const [address = '', prefix, ...more] = text.split('/')
  const family = familyOf(address)
  // A zone ("fe80::1%eth0") means something on one machine's interface only.
  if (!family || more.length > 0 || address.includes('%')) return undefined
  if (prefix === undefined) return { family, text: `${address}/${bits[family]}` }
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits[family]) return undefined
  return { family, text: `${address}/${Number(prefix)}` }
}

export function familyOf(address: string): IpFamily | undefined {
  const family = isIP(address)
  return family === 4 || family === 6 ? family : undefined
}

/** The addresses of one family. */
export function ofFamily(addresses: readonly string[], family: IpFamily): readonly string[] {
  return addresses.filter((address) => familyOf(address) === family)
}

/**
 * The link-local address that the kernel makes of an interface's hardware address (modified EUI-64, RFC 4291 appendix A),
 * in full. Undefined when that is none.
 */
export function linkLocalAddress(mac: string): string | undefined {
  const bytes = mac.split(':').map((byte) => Number.parseInt(byte, 16))
  if (bytes.length !== 6 || bytes.some((byte) => !(byte >= 0 && byte <= 255))) return undefined
  const [first = 0, ...rest] = bytes
  const id = [first ^ 2, rest[0], rest[1], 0xff, 0xfe, rest[2], rest[3], rest[4]].map((byte) => byte ?? 0)
  const groups = [0, 2, 4, 6].map((at) => (((id[at] ?? 0) << 8) | (id[at + 1] ?? 0)).toString(16))
  return `fe80::${groups.join(':')}`
}

/** An IPv6 address as one number in hexadecimal, as rules compare raw bytes of a packet. */
export function ip6Number(address: string): string {
  return `0x${ip6Groups(address)
    .map((group) => group.padStart(4, '0'))
    .join('')}`
}
