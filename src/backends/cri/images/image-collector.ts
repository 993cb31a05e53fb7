import type { Clock } from '../../../model/clock.ts'
import { errorMessage } from '../../../model/errors.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { CriOptions } from '../config.ts'
import { defaultImageGc } from '../config.ts'
import type { CriImage } from '../runtime/cri-types.ts'
import { filesystemRoom } from '../usage/disk-usage.ts'
import { unusedImages, type ImageHistory } from './unused-images.ts'

/** The runtime, as far as images are collected on it. */
export interface ImageShelf {
  /** Those that are ours to remove: that we pulled. */
  images(signal: AbortSignal): Promise<readonly CriImage[]>
  /** Ids of all that a container uses, whether it runs or not, as its root or as a volume. */
  used(signal: AbortSignal): Promise<ReadonlySet<string>>
  remove(image: CriImage, signal: AbortSignal): Promise<void>
  /** The path of the disk where they lie; undefined when the runtime does not tell. */
  disk(signal: AbortSignal): Promise<string | undefined>
}

export interface ImageCollectorOptions {
  readonly shelf: ImageShelf
  readonly policy: CriOptions['imageGc']
  readonly clock: Clock
  readonly log: Log
}

// kubelet's ImageGCPeriod.
const collectEveryMs = 5 * 60_000

/** Removes images that nobody uses: so many as the disk needs when it fills, all of them when it is short. */
export class ImageCollector {
  readonly #options: ImageCollectorOptions
  readonly #policy: typeof defaultImageGc
  readonly #histories = new Map<string, ImageHistory>()

  constructor(options: ImageCollectorOptions) {
    this.#options = options
    this.#policy = { ...defaultImageGc, ...options.policy }
  }

  /** Looks every five minutes, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    while (!signal.aborted) {
      try {
        await this.#collectIfFull(signal)
      } catch (error) {
        if (!signal.aborted) log.warn({ error: errorMessage(error) }, 'images could not be collected')
      }
      await clock.sleep(collectEveryMs, signal).catch(() => undefined)
    }
  }

  /** Removes all that nobody uses, but for the youngest. */
  async collectAll(signal: AbortSignal): Promise<void> {
    await this.#remove(await this.#unused(signal), undefined, signal)
  }

  async #collectIfFull(signal: AbortSignal): Promise<void> {
    const unused = await this.#unused(signal)
    const path = await this.#options.shelf.disk(signal)
    if (path === undefined) return
    const { capacityBytes, availableBytes } = await filesystemRoom(path)
    const usedBytes = capacityBytes - availableBytes
    const { highThresholdPercent, lowThresholdPercent } = this.#policy
    if (highThresholdPercent === 100 || usedBytes * 100n < capacityBytes * BigInt(highThresholdPercent))
      return
    const surplusBytes = usedBytes - (capacityBytes * BigInt(lowThresholdPercent)) / 100n
    const freedBytes = await this.#remove(unused, surplusBytes, signal)
    if (freedBytes >= surplusBytes) return
    const amounts = { path, surplusBytes: String(surplusBytes), freedBytes: String(freedBytes) }
    this.#options.log.warn(amounts, 'the image disk is full of what is in use')
  }

  async #unused(signal: AbortSignal): Promise<readonly CriImage[]> {
    const { shelf, clock } = this.#options
    const [images, used] = await Promise.all([shelf.images(signal), shelf.used(signal)])
    const nowMs = clock.monotonicMs()
    this.#remember(images, used, nowMs)
    const minimumAgeMs = this.#policy.minimumAgeSeconds * 1000
    return unusedImages({ images, used, histories: this.#histories, nowMs, minimumAgeMs })
  }

  #remember(images: readonly CriImage[], used: ReadonlySet<string>, nowMs: number): void {
    const present = new Set(images.map(({ id }) => id))
    for (const id of this.#histories.keys()) if (!present.has(id)) this.#histories.delete(id)
    for (const id of present) {
      const before = this.#histories.get(id) ?? { firstSeenMs: nowMs, lastUsedMs: undefined }
      this.#histories.set(id, used.has(id) ? { ...before, lastUsedMs: nowMs } : before)
    }
  }

  /** Until that much is free, or all are gone. One that cannot be removed is passed over. Answers with the bytes. */
  async #remove(
    images: readonly CriImage[],
    wantedBytes: bigint | undefined,
    signal: AbortSignal,
  ): Promise<bigint> {
    const { shelf, log } = this.#options
    let freedBytes = 0n
    for (const image of images) {
      if (wantedBytes !== undefined && freedBytes >= wantedBytes) break
      const facts = { image: image.repoTags[0] ?? image.repoDigests[0] ?? image.id, bytes: image.size }
      try {
        await shelf.remove(image, signal)
        freedBytes += BigInt(image.size)
        log.info(facts, 'image removed: nobody uses it, and the disk is needed')
      } catch (error) {
        signal.throwIfAborted()
        log.warn({ ...facts, error: errorMessage(error) }, 'an image could not be removed')
      }
    }
    return freedBytes
  }
}
