import type { CriClient } from './client.ts'
import type { RuntimeStatus } from './cri-types.ts'
import { runtimeHandlers, type RuntimeHandlerFacts } from './runtime-handlers.ts'

/** What the runtime can do, as it says itself; it changes only with a restart of it. */
export interface RuntimeFacts {
  readonly handlers: readonly RuntimeHandlerFacts[]
  /** It can leave out the groups that an image gives to its user, and tells the user that a container began with. */
  readonly supplementalGroupsPolicy: boolean
  /** As in `containerd://2.4.2`. */
  readonly version: string
}

/** `described`: its status with all details. */
export function runtimeFacts(described: RuntimeStatus, version: string): RuntimeFacts {
  return {
    handlers: runtimeHandlers(described),
    supplementalGroupsPolicy: described.features?.supplementalGroupsPolicy ?? false,
    version,
  }
}

export interface RuntimeAnswer {
  readonly status: RuntimeStatus
  readonly facts: RuntimeFacts
}

/** Asks the runtime how it is, and with that what it is. */
export class RuntimeInquiry {
  readonly #client: Pick<CriClient, 'status' | 'version'>
  /** Undefined after a loss. */
  #known: { readonly facts: RuntimeFacts; readonly listed: string } | undefined
  #facts: RuntimeFacts | undefined

  constructor(client: Pick<CriClient, 'status' | 'version'>) {
    this.#client = client
  }

  /** As it said last; undefined until it has answered for the first time. */
  get facts(): RuntimeFacts | undefined {
    return this.#facts
  }

  async ask(signal: AbortSignal): Promise<RuntimeAnswer> {
    try {
      const known = this.#known
      const status = await this.#client.status({ verbose: !known }, signal)
      // All of the details are as long as its configuration: asked for once, after each loss, and when what it lists has
      // changed, since a restart of the runtime may be over before the next look.
      if (known && listedBy(status) === known.listed) return { status, facts: known.facts }
      return await this.#learn(known ? await this.#client.status({ verbose: true }, signal) : status, signal)
    } catch (error) {
      this.#known = undefined
      throw error
    }
  }

  async #learn(status: RuntimeStatus, signal: AbortSignal): Promise<RuntimeAnswer> {
    const facts = runtimeFacts(status, await this.#askVersion(signal))
    this.#facts = facts
    this.#known = { facts, listed: listedBy(status) }
    return { status, facts }
  }

  async #askVersion(signal: AbortSignal): Promise<string> {
    const { runtimeName, runtimeVersion } = await this.#client.version(signal)
    return `${runtimeName}://${runtimeVersion.replace(/^v/, '')}`
  }
}

function listedBy({ runtimeHandlers: listed, features }: RuntimeStatus): string {
  return JSON.stringify([listed, features])
}
