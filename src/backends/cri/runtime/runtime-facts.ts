import type { SandboxHandler } from '../../../model/capability.ts'
import type { CriClient } from './client.ts'
import type { RuntimeStatus } from './cri-types.ts'

/** What the runtime can do, as it says itself; it changes only with a restart of it. */
export interface RuntimeFacts {
  readonly handlers: readonly SandboxHandler[]
  /** It can leave out the groups that an image gives to its user, and tells the user that a container began with. */
  readonly supplementalGroupsPolicy: boolean
  /** As in `containerd://2.4.2`. */
  readonly version: string
}

export function runtimeFacts({ runtimeHandlers, features }: RuntimeStatus, version: string): RuntimeFacts {
  return {
    handlers: runtimeHandlers.map(({ name, features: own }) => ({
      name,
      recursiveReadOnlyMounts: own?.recursiveReadOnlyMounts ?? false,
      userNamespaces: own?.userNamespaces ?? false,
    })),
    supplementalGroupsPolicy: features?.supplementalGroupsPolicy ?? false,
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
  #version: string | undefined
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
      // The version is asked once, and after each loss: it changes only with a restart of the runtime.
      const [status, version] = await Promise.all([
        this.#client.status({ verbose: false }, signal),
        this.#version ?? this.#askVersion(signal),
      ])
      this.#version = version
      this.#facts = runtimeFacts(status, version)
      return { status, facts: this.#facts }
    } catch (error) {
      this.#version = undefined
      throw error
    }
  }

  async #askVersion(signal: AbortSignal): Promise<string> {
    const { runtimeName, runtimeVersion } = await this.#client.version(signal)
    return `${runtimeName}://${runtimeVersion.replace(/^v/, '')}`
  }
}
