import { randomFillSync } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../model/clock.ts'
import { errorMessage } from '../../model/errors.ts'
import type { Log } from '../../telemetry/log.ts'
import type { HealthCheck } from '../backend.ts'
import { isMissing } from './volumes/atomic-writer.ts'
import { draftOf, isDiskFull } from './whole-file.ts'

/** More than a note about a Pod is long, on any file system. */
const noteBytes = 256 << 10

/** 16 MiB: room for what containerd and we have to write down to end a few Pods. */
const notes = Array.from({ length: 64 }, (_, at) => String(at))

/** Files that are of no use but to be given away when nothing else could be written any more. */
export class DiskReserve {
  readonly #dir: string

  constructor(stateDir: string) {
    this.#dir = join(stateDir, 'reserve')
  }

  /** Sets the room aside, if it is not. Without room there is none. */
  async keep(): Promise<void> {
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 })
      // One after the other, so that none is written any more when there turns out to be no room.
      for (const name of notes) await this.#keepOne(join(this.#dir, name))
    } catch (error) {
      await this.release()
      if (!isDiskFull(error)) throw error
    }
  }

  /**
   * Gives room for the draft of one file that is written whole, if there is any; the rest is kept from whoever is filling
   * the disk. The draft is one of the kept files itself: of a disk that has no inode left, no moment is lost in which
   * another could take the one that has come free.
   */
  async lend(path: string): Promise<void> {
    for (const name of await readdir(this.#dir).catch(() => [])) {
      try {
        return await rename(join(this.#dir, name), draftOf(path))
      } catch (error) {
        // Lent to another Pod just now.
        if (!isMissing(error)) throw error
      }
    }
  }

  async release(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #keepOne(path: string): Promise<void> {
    const found = await stat(path).catch(() => undefined)
    if (found?.size === noteBytes) return
    // At random, for a file system that packs what it stores.
    await writeFile(path, randomFillSync(Buffer.alloc(noteBytes)), { mode: 0o600 })
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
