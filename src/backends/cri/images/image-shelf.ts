import { hasCode } from '../../../model/errors.ts'
import type { CriClient } from '../runtime/client.ts'
import type { CriImage } from '../runtime/cri-types.ts'
import type { RuntimeView } from '../pod/observe.ts'
import type { ImageShelf } from './image-collector.ts'
import type { Images } from './images.ts'

export interface RuntimeShelfOptions {
  readonly client: CriClient
  readonly images: Images
  /** What the runtime has of each Pod. */
  readonly pictures: () => readonly RuntimeView[]
}

/** The images of the runtime. */
export class RuntimeShelf implements ImageShelf {
  readonly #options: RuntimeShelfOptions
  #disk: string | undefined

  constructor(options: RuntimeShelfOptions) {
    this.#options = options
  }

  async images(signal: AbortSignal): Promise<readonly CriImage[]> {
    return await this.#options.images.pulled(signal)
  }

  async used(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { client, pictures } = this.#options
    const containers = await client.listContainers({}, signal)
    const roots = containers.flatMap(({ imageId, imageRef }) => [imageId, imageRef])
    const volumes = pictures().flatMap((picture) =>
      picture.containers.flatMap(({ status }) => status.mounts.map(({ image }) => image?.image ?? '')),
    )
    return new Set([...roots, ...volumes])
  }

  async remove({ id }: CriImage, signal: AbortSignal): Promise<void> {
    await this.#options.images.remove(id, signal)
  }

  /** Asked once: it is in the runtime's configuration. */
  async disk(signal: AbortSignal): Promise<string | undefined> {
    try {
      const [stats] = this.#disk === undefined ? await this.#options.client.imageFilesystems(signal) : []
      this.#disk ??= stats?.fsId?.mountpoint
      return this.#disk
    } catch (error) {
      if (hasCode(error, 'Unsupported')) return undefined
      throw error
    }
  }
}
