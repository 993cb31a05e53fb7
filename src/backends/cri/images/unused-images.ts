import type { CriImage } from '../runtime/cri-types.ts'

/** What is known of an image's past. Monotonic times. */
export interface ImageHistory {
  readonly firstSeenMs: number
  /** When a container was last seen that uses it; undefined: never. */
  readonly lastUsedMs: number | undefined
}

export interface UnusedImagesInput {
  readonly images: readonly CriImage[]
  /** Ids. */
  readonly used: ReadonlySet<string>
  readonly histories: ReadonlyMap<string, ImageHistory>
  readonly nowMs: number
  /** A younger image may have been pulled for a container that is about to be made. */
  readonly minimumAgeMs: number
}

/** What may be removed, the longest unused first, of two like that the older (pkg/kubelet/images/image_gc_manager.go). */
export function unusedImages(input: UnusedImagesInput): CriImage[] {
  const { images, used, histories, nowMs, minimumAgeMs } = input
  const history = ({ id }: CriImage): ImageHistory =>
    histories.get(id) ?? { firstSeenMs: nowMs, lastUsedMs: undefined }
  return images
    .filter((image) => !image.pinned && !used.has(image.id))
    .filter((image) => nowMs - history(image).firstSeenMs >= minimumAgeMs)
    .sort((one, other) => {
      const [a, b] = [history(one), history(other)]
      return (a.lastUsedMs ?? 0) - (b.lastUsedMs ?? 0) || a.firstSeenMs - b.firstSeenMs
    })
}
