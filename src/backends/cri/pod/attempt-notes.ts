import { mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ResourceRequirements } from '../../../model/kubernetes.ts'
import { readWhole, writeWhole } from '../whole-file.ts'

/** What the runtime cannot tell of one attempt of a container, and has to be known after a crash of ours. */
export interface AttemptNote {
  /** Carried out, or failed with this sentence. Absent: to be carried out, again if it was broken off. */
  readonly postStart?: 'done' | { readonly failure: string }
  /** When the preStop hook was begun: a sleep goes on from there. */
  readonly preStopBeganAtMs?: number
  readonly preStopDone?: true
  /** What it was given by the last resize of it. Absent: what it was made with. */
  readonly given?: ResourceRequirements
  /** It is being ended, with this message, so that it starts again at once. */
  readonly restartOwed?: string
}

/** Attempts up to these numbers belong to before all containers were made to begin anew. */
export type RestartedAll = Readonly<Record<string, number>>

const nothing: AttemptNote = {}

/** Notes on a Pod's containers: `containers/<name>/<attempt>.json`, and `restarted-all.json`. Durable before known. */
export class AttemptNotes {
  readonly #podDir: string
  readonly #notes = new Map<string, AttemptNote>()
  #restartedAll: RestartedAll = {}

  constructor(podDir: string) {
    this.#podDir = podDir
  }

  /** Takes over what an earlier life of this process has noted. */
  async load(): Promise<void> {
    this.#restartedAll = ((await readWhole(this.#restartedAllFile)) ?? {}) as RestartedAll
    const root = join(this.#podDir, 'containers')
    for (const file of await filesBelow(root)) {
      const found = /^(.+)\/(\d+)\.json$/.exec(file)
      if (!found) continue
      const note = (await readWhole(join(root, file))) as AttemptNote | undefined
      if (note) this.#notes.set(keyOf(found[1] ?? '', Number(found[2])), note)
    }
  }

  of(name: string, attempt: number): AttemptNote {
    return this.#notes.get(keyOf(name, attempt)) ?? nothing
  }

  async note(name: string, attempt: number, more: AttemptNote): Promise<void> {
    const note = { ...this.of(name, attempt), ...more }
    const file = this.#file(name, attempt)
    await mkdir(dirname(file), { recursive: true, mode: 0o750 })
    await writeWhole(file, note)
    this.#notes.set(keyOf(name, attempt), note)
  }

  async drop(name: string, attempt: number): Promise<void> {
    if (this.#notes.delete(keyOf(name, attempt))) await rm(this.#file(name, attempt), { force: true })
  }

  get restartedAll(): RestartedAll {
    return this.#restartedAll
  }

  async noteRestartedAll(attempts: RestartedAll): Promise<void> {
    await writeWhole(this.#restartedAllFile, attempts)
    this.#restartedAll = attempts
  }

  get #restartedAllFile(): string {
    return join(this.#podDir, 'restarted-all.json')
  }

  #file(name: string, attempt: number): string {
    return join(this.#podDir, 'containers', name, `${attempt}.json`)
  }
}

function keyOf(name: string, attempt: number): string {
  return `${name}/${attempt}`
}

async function filesBelow(root: string): Promise<string[]> {
  try {
    return await readdir(root, { recursive: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
