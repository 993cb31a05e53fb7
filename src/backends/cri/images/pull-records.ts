import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withAccess, type ImageAccess, type PullRecord } from './image-access.ts'

interface Intent {
  readonly image: string
}

export interface PresentImage {
  readonly id: string
}

/**
 * Which images we pulled and with whose login, in files, because the images outlive this process: `pulled/` one for
 * each image, `pulling/` one for each pull under way. A pull whose end nobody saw counts as ours with rights for nobody.
 */
export class PullRecords {
  readonly #dirs: { readonly pulled: string; readonly pulling: string }
  /** By file name. */
  readonly #pulled: Map<string, PullRecord>
  /** By the image's full name: pulls under way. */
  readonly #pulling = new Map<string, number>()
  #left: readonly Intent[]
  #changing: Promise<void> = Promise.resolve()

  private constructor(dir: string, pulled: Map<string, PullRecord>, left: readonly Intent[]) {
    this.#dirs = dirsIn(dir)
    this.#pulled = pulled
    this.#left = left
  }

  /** What an earlier life of this process wrote there. */
  static async open(dir: string): Promise<PullRecords> {
    const { pulled, pulling } = dirsIn(dir)
    for (const path of [pulled, pulling]) await mkdir(path, { recursive: true, mode: 0o700 })
    const records = new Map<string, PullRecord>()
    // What cannot be read is a record all the same: without it the image would be anybody's.
    for (const [file, value] of await readAll(pulled)) {
      records.set(file, { imageId: '', access: {}, ...(value as Partial<PullRecord> | undefined) })
    }
    const intents = (await readAll(pulling)).map(([, value]) => value as Intent | undefined)
    return new PullRecords(
      dir,
      records,
      intents.filter((intent) => intent !== undefined),
    )
  }

  /**
   * Has to be done once, before anything else: pulls that were under way when the process died may have ended well,
   * and images may have been removed meanwhile. Rejects when the runtime cannot be asked; to be tried anew then.
   */
  async recover(
    present: readonly PresentImage[],
    lookUp: (image: string) => Promise<PresentImage | undefined>,
  ): Promise<void> {
    for (const { image } of this.#left) {
      const found = await lookUp(image)
      if (found && !this.find(found.id)) await this.#write({ imageId: found.id, access: {} })
      await rm(join(this.#dirs.pulling, fileName(image)), { force: true })
    }
    this.#left = []
    const files = new Set(present.map(({ id }) => fileName(id)))
    for (const file of [...this.#pulled.keys()].filter((file) => !files.has(file))) {
      this.#pulled.delete(file)
      await rm(join(this.#dirs.pulled, file), { force: true })
    }
  }

  find(imageId: string): PullRecord | undefined {
    return this.#pulled.get(fileName(imageId))
  }

  isBeingPulled(image: string): boolean {
    return this.#pulling.has(image)
  }

  /** Durable before it resolves: from now on, an image of that name that turns up is ours. */
  async begin(image: string): Promise<void> {
    await this.#inTurn(async () => {
      await writeWhole(join(this.#dirs.pulling, fileName(image)), { image } satisfies Intent)
      this.#pulling.set(image, (this.#pulling.get(image) ?? 0) + 1)
    })
  }

  /** The pull is over, well or not. */
  async end(image: string): Promise<void> {
    await this.#inTurn(async () => {
      const others = (this.#pulling.get(image) ?? 1) - 1
      if (others > 0) this.#pulling.set(image, others)
      else {
        this.#pulling.delete(image)
        await rm(join(this.#dirs.pulling, fileName(image)), { force: true })
      }
    })
  }

  async grant(imageId: string, name: string, access: ImageAccess): Promise<void> {
    const before = { ...(this.find(imageId) ?? { access: {} }), imageId }
    const after = withAccess(before, name, access)
    if (after !== before) await this.#write(after)
  }

  /** The image is gone. */
  async forget(imageId: string): Promise<void> {
    const file = fileName(imageId)
    this.#pulled.delete(file)
    await this.#inTurn(async () => await rm(join(this.#dirs.pulled, file), { force: true }))
  }

  async #write(record: PullRecord): Promise<void> {
    const file = fileName(record.imageId)
    this.#pulled.set(file, record)
    await this.#inTurn(async () => await writeWhole(join(this.#dirs.pulled, file), record))
  }

  /** One after the other: two who change one file would undo each other's work. */
  async #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#changing.then(work)
    this.#changing = done.catch(() => undefined)
    await done
  }
}

function dirsIn(dir: string): { pulled: string; pulling: string } {
  return { pulled: join(dir, 'pulled'), pulling: join(dir, 'pulling') }
}

// Names of images have slashes.
function fileName(name: string): string {
  return `${createHash('sha256').update(name).digest('hex')}.json`
}

async function readAll(dir: string): Promise<(readonly [file: string, value: unknown])[]> {
  const files = (await readdir(dir)).filter((file) => file.endsWith('.json'))
  return await Promise.all(files.map(async (file) => [file, await readJson(join(dir, file))] as const))
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown
  } catch {
    return undefined
  }
}

async function writeWhole(path: string, value: object): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(value), { mode: 0o600 })
  await rename(`${path}.new`, path)
}
