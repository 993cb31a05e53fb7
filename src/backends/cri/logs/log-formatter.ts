import type { LogOptions } from '../../backend.ts'
import { formatLogTime, logTimeMs, parseLogLine } from './log-line.ts'

/** Turns bytes of a log file into what is shown. Keeps what is not yet a whole line until more comes. */
export class LogFormatter {
  readonly #options: LogOptions
  #pending: Buffer = Buffer.alloc(0)
  #atLineStart = true
  #remainingBytes: number
  /** Lines that were not in CRI's format, and so were left out. */
  unreadable = 0

  constructor(options: LogOptions) {
    this.#options = options
    this.#remainingBytes = options.limitBytes ?? Number.POSITIVE_INFINITY
  }

  /** Whether `limitBytes` is used up. */
  get full(): boolean {
    return this.#remainingBytes <= 0
  }

  write(bytes: Buffer): Buffer {
    const whole = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes])
    const shown: Uint8Array[] = []
    let start = 0
    for (let end = whole.indexOf(0x0a); end >= 0; end = whole.indexOf(0x0a, start)) {
      this.#show(whole.subarray(start, end + 1), shown)
      start = end + 1
    }
    // Copied: it must not keep the whole block alive, nor change with it.
    this.#pending = Buffer.from(whole.subarray(start))
    return Buffer.concat(shown)
  }

  /** What is left at the end of the file, though its newline is missing. */
  end(): Buffer {
    const shown: Uint8Array[] = []
    if (this.#pending.length > 0) this.#show(this.#pending, shown)
    this.#pending = Buffer.alloc(0)
    return Buffer.concat(shown)
  }

  #show(line: Buffer, shown: Uint8Array[]): void {
    const parsed = parseLogLine(line)
    if (!parsed) {
      this.unreadable += 1
      return
    }
    const { sinceMs, timestamps } = this.#options
    if (sinceMs !== undefined && logTimeMs(parsed.time) < sinceMs) return
    if (timestamps && this.#atLineStart) this.#push(Buffer.from(`${formatLogTime(parsed.time)} `), shown)
    this.#push(parsed.content, shown)
    this.#atLineStart = parsed.full
  }

  #push(bytes: Uint8Array, shown: Uint8Array[]): void {
    const part = bytes.length > this.#remainingBytes ? bytes.subarray(0, this.#remainingBytes) : bytes
    this.#remainingBytes -= part.length
    if (part.length > 0) shown.push(part)
  }
}
