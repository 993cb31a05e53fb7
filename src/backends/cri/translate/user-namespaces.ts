import { SpillwayError } from '../../../model/errors.ts'
import type { IdRange } from './namespaces.ts'
import type { PodStore } from '../pod/pod-store.ts'

/** As many as kubelet gives to a Pod: every id of 16 bits. */
export const idsPerPod = 65_536

/**
 * Where the ids of Pods begin: what systemd's table of uids and gids leaves unused, and far from kubelet, which counts
 * up from 65536 and may share the machine.
 */
export const firstUserNamespaceId = 0x7000_0000

/** Ids above are negative to who takes them for signed numbers. */
const endOfIds = 0x8000_0000

/**
 * Which ids of the machine each Pod with `hostUsers: false` has for its users and groups: none are given out twice, so
 * that who breaks out of one Pod is nobody to the next. Written to the Pod's directory before they are used, and free
 * again when that is removed.
 */
export class UserNamespaces {
  readonly #store: Pick<PodStore, 'writeUserNamespace' | 'userNamespaces'>
  readonly #firstId: number
  #taken: ReadonlyMap<string, IdRange> = new Map()
  /** One at a time. */
  #taking: Promise<unknown> = Promise.resolve()

  constructor(
    store: Pick<PodStore, 'writeUserNamespace' | 'userNamespaces'>,
    firstId = firstUserNamespaceId,
  ) {
    this.#store = store
    this.#firstId = firstId
  }

  /** Reads what earlier lives of this process have given out. */
  async load(): Promise<void> {
    this.#taken = await this.#store.userNamespaces()
  }

  /** The Pod's; undefined when it has taken none. */
  of(uid: string): IdRange | undefined {
    return this.#taken.get(uid)
  }

  /** The Pod's, the same at every call. Unavailable when all are given out. */
  async take(uid: string, podDir: string): Promise<IdRange> {
    const turn = this.#taking.then(() => this.#take(uid, podDir))
    this.#taking = turn.catch(() => undefined)
    return await turn
  }

  async #take(uid: string, podDir: string): Promise<IdRange> {
    await this.load()
    const own = this.#taken.get(uid)
    if (own) return own
    const range = { firstId: this.#free(), length: idsPerPod }
    await this.#store.writeUserNamespace(podDir, range)
    this.#taken = new Map([...this.#taken, [uid, range]])
    return range
  }

  #free(): number {
    const taken = new Set([...this.#taken.values()].map(({ firstId }) => firstId))
    for (let firstId = this.#firstId; firstId + idsPerPod <= endOfIds; firstId += idsPerPod) {
      if (!taken.has(firstId)) return firstId
    }
    throw new SpillwayError('Unavailable', 'could not find an empty slot to allocate a user namespace')
  }
}
