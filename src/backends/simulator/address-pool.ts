import { SpillwayError } from '../../model/errors.ts'

/** IPv4 addresses of one range, given out in turn so that one that was just returned rests before it is used again. */
export class AddressPool {
  readonly #first: number
  readonly #size: number
  readonly #taken = new Set<number>()
  #next = 0

  constructor(cidr: string) {
    const [address = '', bits = ''] = cidr.split('/')
    const octets = address.split('.').map(Number)
    const prefix = Number(bits)
    if (octets.length !== 4 || octets.some((octet) => octet > 255) || prefix > 30) {
      throw new SpillwayError(
        'ConfigInvalid',
        `podCidr "${cidr}" is not an IPv4 range of at least 4 addresses`,
      )
    }
    const whole = octets.reduce((sum, octet) => sum * 256 + octet, 0)
    const span = 2 ** (32 - prefix)
    // Network, gateway and broadcast address are nobody's.
    this.#first = Math.floor(whole / span) * span + 2
    this.#size = span - 3
  }

  get size(): number {
    return this.#size
  }

  get free(): number {
    return this.#size - this.#taken.size
  }

  /** The next free address, or undefined when all are taken. */
  take(): string | undefined {
    if (this.free === 0) return undefined
    while (this.#taken.has(this.#next)) this.#next = (this.#next + 1) % this.#size
    const index = this.#next
    this.#taken.add(index)
    this.#next = (index + 1) % this.#size
    const address = this.#first + index
    return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
  }

  release(ip: string): void {
    const address = ip.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
    this.#taken.delete(address - this.#first)
  }
}
