import { randomFillSync } from 'node:crypto'
import { rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../model/clock.ts'
import { errorMessage } from '../../model/errors.ts'
import type { Log } from '../../telemetry/log.ts'
import type { HealthCheck } from '../backend.ts'
import { isDiskFull } from './whole-file.ts'

/** Room for what containerd and we have to write down to end a few Pods. */
const reserveBytes = 16 << 20

/** More than a note about a Pod is long, on any file system. */
const noteBytes = 256 << 10

/** A file that is of no use but to be removed when nothing else could be written any more. */
export class DiskReserve {
  readonly #path: string

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'reserve')
  }

  /** Sets the room aside, if it is not. Without room there is none. */
  async keep(): Promise<void> {
    if (await this.#isWhole()) return
    try {
      // At random, for a file system that packs what it stores.
      await writeFile(this.#path, randomFillSync(Buffer.alloc(reserveBytes)), { mode: 0o600 })
    } catch (error) {
      await this.release()
      if (!isDiskFull(error)) throw error
    }
  }

  /** Gives room for one note, if there is any; the rest is kept from whoever is filling the disk. */
  async lend(): Promise<void> {
    const found = await stat(this.#path).catch(() => undefined)
    if (found) await truncate(this.#path, Math.max(found.size - noteBytes, 0))
  }

  async release(): Promise<void> {
    await rm(this.#path, { force: true })
  }

  async #isWhole(): Promise<boolean> {
    const found = await stat(this.#path).catch(() => undefined)
    return found?.size === reserveBytes
  }
}

// Who has filled the disk once may do so again.
const keepEveryMs = 10_000

export interface ReserveKeeper {
  readonly reserve: DiskReserve
  readonly disk: (signal: AbortSignal) => Promise<HealthCheck>
  readonly clock: Clock
  readonly log: Log
}

/** Sets room aside whenever there is enough of it, until the signal is aborted. */
export async function keepReserve(
  { reserve, disk, clock, log }: ReserveKeeper,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      if ((await disk(signal)).ok) await reserve.keep()
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'no room could be set aside on the disk')
    }
    await clock.sleep(keepEveryMs, signal).catch(() => undefined)
  }
}
