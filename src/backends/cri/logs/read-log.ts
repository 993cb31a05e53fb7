import { watch } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { Readable } from 'node:stream'
import type { Clock } from '../../../model/clock.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { LogOptions } from '../../backend.ts'
import { isMissing } from '../volumes/atomic-writer.ts'
import { LogFormatter } from './log-formatter.ts'
import { tailStart } from './tail-start.ts'

export interface ReadLogInput {
  /** The file that the runtime writes now; for `previous` that of the attempt before. */
  readonly path: string
  readonly options: LogOptions
  /** Whether the container may still write. Asked at each end of the file while following. */
  readonly isRunning: () => boolean | Promise<boolean>
  readonly clock: Clock
  readonly log: Log
}

const blockBytes = 64 * 1024
// The net under fs.watch, which misses changes on some file systems, and how late the end of a container that wrote
// nothing more is seen. kubelet looks every second, so that its `kubectl logs -f` hangs for that long at the end.
const pollMs = 250

/**
 * The log of a container as `kubectl logs` shows it. NotFound: there is no file. The stream ends at the end of the
 * file; with `follow` when the container has ended and everything is read; also by the signal, then without error.
 * Rotated files are not read back (as in kubelet); a rotation while following is.
 */
export async function readLog(input: ReadLogInput, signal: AbortSignal): Promise<Readable> {
  const file = await openLog(input.path)
  return Readable.from(logBytes(input, file, signal), { objectMode: false })
}

async function openLog(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (isMissing(error))
      throw new SpillwayError('NotFound', `there is no log file ${path}`, { cause: error })
    throw new SpillwayError('Unavailable', `log file ${path} cannot be opened`, { cause: error })
  }
}

async function* logBytes(
  input: ReadLogInput,
  first: FileHandle,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { options, path, log } = input
  const formatter = new LogFormatter(options)
  let file = first
  const changes = options.follow ? new FileChanges(path, input.clock) : undefined
  try {
    const { size } = await file.stat()
    const { tailLines: lines } = options
    let position = lines === undefined ? 0 : await tailStart(file, { lines, sizeBytes: size })
    for (;;) {
      // Asked before reading: what the container wrote before its end is then read for sure.
      const last = !changes || !(await input.isRunning())
      const next = changes ? await successor(path, file, last) : undefined
      for await (const block of blocks(file, {
        position,
        until: changes ? Number.POSITIVE_INFINITY : size,
      })) {
        position += block.length
        const shown = formatter.write(block)
        if (shown.length > 0) yield shown
        if (formatter.full || signal.aborted) {
          await next?.close()
          return
        }
      }
      if (next) {
        await file.close()
        ;[file, position] = [next, 0]
      } else if (last) {
        const rest = formatter.end()
        if (rest.length > 0) yield rest
        return
      } else {
        await changes.next(signal)
      }
      if (signal.aborted) return
    }
  } finally {
    changes?.close()
    await file.close()
    if (formatter.unreadable > 0) {
      log.warn(
        { path, lines: formatter.unreadable },
        'log lines that are not in the format of CRI were left out',
      )
    }
  }
}

async function* blocks(
  file: FileHandle,
  { position, until }: { readonly position: number; readonly until: number },
): AsyncGenerator<Buffer> {
  let at = position
  while (at < until) {
    const block = Buffer.alloc(Math.min(blockBytes, until - at))
    const { bytesRead } = await file.read(block, 0, block.length, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield block.subarray(0, bytesRead)
  }
}

/**
 * The file that took the place of this one, once the runtime writes to it: between renaming and reopening, and
 * until its first bytes, lines may still go to the old one.
 */
async function successor(path: string, file: FileHandle, ended: boolean): Promise<FileHandle | undefined> {
  try {
    const [now, held] = await Promise.all([stat(path), file.stat()])
    const same = now.ino === held.ino && now.dev === held.dev
    return same || (now.size === 0 && !ended) ? undefined : await open(path, 'r')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Waits until something happened to a file since the last time, or the poll is due. */
class FileChanges {
  readonly #clock: Clock
  readonly #stop: () => void
  #changed = false
  #wake: (() => void) | undefined

  constructor(path: string, clock: Clock) {
    this.#clock = clock
    this.#stop = this.#watch(path)
  }

  async next(signal: AbortSignal): Promise<void> {
    if (!this.#changed) {
      const ended = new AbortController()
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      const slept = this.#clock.sleep(pollMs, AbortSignal.any([signal, ended.signal])).catch(() => undefined)
      await Promise.race([woken, slept])
      ended.abort()
    }
    this.#changed = false
  }

  close(): void {
    this.#stop()
  }

  /** Of the directory, so that a rotation is seen. Without inotify (too many watches) the poll has to do. */
  #watch(path: string): () => void {
    const name = basename(path)
    try {
      const watcher = watch(dirname(path), (_event, changed) => {
        if (changed !== null && changed !== name) return
        this.#changed = true
        this.#wake?.()
      })
      watcher.on('error', () => watcher.close())
      return () => watcher.close()
    } catch {
      return () => undefined
    }
  }
}
