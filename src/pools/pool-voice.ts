import type { EventSink } from '../kube/events.ts'
import type { VirtualNodePool } from '../model/virtual-node-pool.ts'

/** Events about pools: each sentence once until another takes its place. */
export class PoolVoice {
  readonly #events: EventSink
  /** By pool and reason. */
  readonly #told = new Map<string, string>()

  constructor(events: EventSink) {
    this.#events = events
  }

  say(pool: VirtualNodePool | undefined, { type = 'Normal', reason, message }: PoolEvent): void {
    const { name, uid } = pool?.metadata ?? {}
    // A pool of the configuration file is no object that an event could be about.
    if (!pool || !name || !uid) return
    const key = `${uid} ${reason}`
    if (this.#told.get(key) === message) return
    this.#told.set(key, message)
    const object = { apiVersion: pool.apiVersion ?? '', kind: pool.kind ?? '', name, uid }
    this.#events.record({ object, type, reason, message })
  }

  /** What was said for that reason is over: the same may be said again. */
  over(pool: VirtualNodePool | undefined, reason: string): void {
    this.#told.delete(`${pool?.metadata?.uid ?? ''} ${reason}`)
  }
}

export interface PoolEvent {
  /** Default Normal. */
  readonly type?: 'Normal' | 'Warning'
  readonly reason:
    | 'NoSandboxHandler'
    | 'NodeAdded'
    | 'NodeRetiring'
    | 'NodeRemoved'
    | 'DrainBlocked'
    | 'Scaled'
    | 'Refused'
    | 'PodsLeftBehind'
  readonly message: string
}
