import { kubeTime, type Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { CoreEvent, ObjectMeta } from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'
import type { KubeApi } from './api.ts'
import { RecentMap, takeToken, type Bucket } from './event-limits.ts'
import { events } from './resources.ts'

/** What an event is about. */
export interface EventObject {
  readonly apiVersion: string
  readonly kind: string
  /** Absent: cluster-scoped; its events go to namespace `default`. */
  readonly namespace?: string
  readonly name: string
  readonly uid: string
}

export interface EventNote {
  readonly object: EventObject
  readonly type: 'Normal' | 'Warning'
  /** CamelCase. */
  readonly reason: string
  readonly message: string
  /** As in `spec.containers{web}`. */
  readonly fieldPath?: string
  /** Node name, or what else tells the reporter from others of its component. Default: that of the recorder. */
  readonly instance?: string
}

/** What the rooms that have something to tell need. */
export interface EventSink {
  /** Never waits, never throws. */
  record(note: EventNote): void
}

export interface EventRecorderOptions {
  readonly api: Pick<KubeApi, 'create' | 'patch'>
  /** As in `spillway`; shown by `kubectl describe` under From. */
  readonly component: string
  readonly instance: string
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Default 5000 different events; more are dropped and counted. */
  readonly maxQueued?: number
}

interface Pending {
  readonly key: string
  readonly note: EventNote
  readonly firstMs: number
  isDue: boolean
  lastMs: number
  count: number
}

interface Times {
  /** Until then there is time to try again. */
  readonly stop: AbortSignal
  /** Until then there is time to write at all. */
  readonly end: AbortSignal
}

/** What has been written under a key. */
interface Written {
  readonly namespace: string
  readonly name: string
  readonly count: number
  readonly firstMs: number
}

const senders = 4
// Four minutes in all at these delays: an API server restart is outlived, an event of yesterday helps nobody.
const maxTries = 12
const retryMs = 20_000
const maxMessageLength = 1024
// While a Pod starts there is something to tell three times: told in the middle, each costs the start some milliseconds of
// the machine and of the API server. What goes wrong is told at once.
const calmMs = 1_000
// As long as the process waits at its end for what is still to be told.
const lastWordsMs = 1_000

/**
 * Writes core/v1 Events in the background, Warnings at once and what is normal a second later. The same event again counts
 * up the one that is there (as client-go does); each object may cause 25 at once and then one in 5 minutes. Best effort:
 * what cannot be written is dropped and counted in `dropped`.
 */
export class EventRecorder implements EventSink {
  readonly #options: EventRecorderOptions
  /** In the order of recording. */
  readonly #pending = new Map<string, Pending>()
  readonly #inFlight = new Set<string>()
  readonly #written = new RecentMap<Written>(4096)
  readonly #buckets = new RecentMap<Bucket>(4096)
  #waiters: (() => void)[] = []
  #ending = false
  #dropped = 0

  constructor(options: EventRecorderOptions) {
    this.#options = options
  }

  get dropped(): number {
    return this.#dropped
  }

  record(note: EventNote): void {
    const { clock, maxQueued = 5000 } = this.#options
    const nowMs = clock.wallMs()
    const key = keyOf(note, this.#instanceOf(note))
    if (!this.#mayRecord(note)) return this.#drop(note, 'too many events about one object')
    const pending = this.#pending.get(key)
    if (pending) {
      pending.count += 1
      pending.lastMs = nowMs
    } else if (this.#pending.size >= maxQueued) {
      this.#drop(note, 'too many events are waiting')
    } else {
      this.#add({ key, note, firstMs: nowMs, isDue: false, lastMs: nowMs, count: 1 })
    }
  }

  /** Writes what is recorded until the signal is aborted; then what is left, once and for a second at most, and resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const end = new AbortController()
    let cancelTimer = (): void => undefined
    const onAbort = (): void => {
      this.#ending = true
      cancelTimer = clock.timer(lastWordsMs, () => end.abort(signal.reason))
      this.#notify()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    try {
      await Promise.all(Array.from({ length: senders }, () => this.#send({ stop: signal, end: end.signal })))
    } finally {
      signal.removeEventListener('abort', onAbort)
      cancelTimer()
    }
  }

  #add(pending: Pending): void {
    this.#pending.set(pending.key, pending)
    const { type, object } = pending.note
    if (type === 'Warning') return this.#hurry(object)
    this.#options.clock.timer(calmMs, () => {
      pending.isDue = true
      this.#notify()
    })
  }

  /** All that waits of an object: what went wrong with it is told after what went before. */
  #hurry({ uid }: EventObject): void {
    for (const pending of this.#pending.values()) if (pending.note.object.uid === uid) pending.isDue = true
    this.#notify()
  }

  async #send(times: Times): Promise<void> {
    while (!times.end.aborted) {
      const pending = this.#next()
      if (!pending) {
        if (this.#ending) return
        await this.#changed()
        continue
      }
      this.#pending.delete(pending.key)
      this.#inFlight.add(pending.key)
      try {
        await this.#write(pending, times)
      } catch (error) {
        this.#drop(pending.note, errorMessage(error))
      } finally {
        this.#inFlight.delete(pending.key)
        this.#notify()
      }
    }
  }

  /** The first that is due and whose like is not being written: two senders on one key would make two events of it. */
  #next(): Pending | undefined {
    for (const pending of this.#pending.values()) {
      if ((pending.isDue || this.#ending) && !this.#inFlight.has(pending.key)) return pending
    }
    return undefined
  }

  async #write(pending: Pending, { stop, end }: Times): Promise<void> {
    const { clock, random } = this.#options
    for (let tries = 1; ; tries += 1) {
      try {
        this.#written.set(pending.key, await this.#writeOnce(pending, end))
        return
      } catch (error) {
        stop.throwIfAborted()
        if (tries >= maxTries || (error instanceof SpillwayError && !error.retry)) throw error
        const afterMs = error instanceof SpillwayError ? (error.afterMs ?? 0) : 0
        // The first retry comes soon: mostly the name was taken, or one connection died.
        const delayMs = tries === 1 ? 500 : retryMs
        await clock.sleep(Math.max(delayMs * (0.75 + 0.5 * random()), afterMs), stop)
      }
    }
  }

  async #writeOnce(pending: Pending, signal: AbortSignal): Promise<Written> {
    const { api } = this.#options
    const before = this.#written.get(pending.key)
    const count = (before?.count ?? 0) + pending.count
    const firstMs = before?.firstMs ?? pending.firstMs
    if (before) {
      const body = { count, lastTimestamp: kubeTime(pending.lastMs) }
      try {
        await api.patch(events, before, { type: 'merge', body }, signal)
        return { ...before, count }
      } catch (error) {
        // The API server deletes events after an hour: it is told anew.
        if (!hasCode(error, 'NotFound')) throw error
      }
    }
    const event = this.#eventOf(pending, count, firstMs)
    await api.create(events, event, signal)
    return { namespace: event.metadata.namespace, name: event.metadata.name, count, firstMs }
  }

  #eventOf(
    { note, lastMs }: Pending,
    count: number,
    firstMs: number,
  ): CoreEvent & { metadata: ObjectMeta & { namespace: string; name: string } } {
    const { component, clock, random } = this.#options
    const { object, fieldPath, type, reason } = note
    const instance = this.#instanceOf(note)
    const suffix = `${clock.wallMs().toString(16)}${Math.floor(random() * 2 ** 32).toString(16).padStart(8, '0')}` // prettier-ignore
    return {
      metadata: { namespace: object.namespace ?? 'default', name: `${object.name.slice(0, 230)}.${suffix}` },
      involvedObject: { ...object, ...(fieldPath !== undefined && { fieldPath }) },
      type,
      reason,
      message: note.message.slice(0, maxMessageLength),
      source: { component, host: instance },
      reportingComponent: component,
      reportingInstance: instance,
      firstTimestamp: kubeTime(firstMs),
      lastTimestamp: kubeTime(lastMs),
      count,
    }
  }

  #mayRecord({ object, type }: EventNote): boolean {
    const key = JSON.stringify([object.kind, object.namespace, object.name, object.uid, type])
    const bucket = takeToken(this.#buckets.get(key), this.#options.clock.monotonicMs())
    if (bucket) this.#buckets.set(key, bucket)
    return bucket !== undefined
  }

  #instanceOf(note: EventNote): string {
    return note.instance ?? this.#options.instance
  }

  #drop({ object, reason }: EventNote, why: string): void {
    this.#dropped += 1
    const { kind, namespace, name } = object
    // Not a warning: an unwritten event is no harm, and a flood of them must not become a flood of log lines.
    this.#options.log.debug({ kind, namespace, name, reason, why, dropped: this.#dropped }, 'event dropped')
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve)
    })
  }

  #notify(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }
}

function keyOf({ object, type, reason, message, fieldPath }: EventNote, instance: string): string {
  const { apiVersion, kind, namespace, name, uid } = object
  return JSON.stringify([instance, apiVersion, kind, namespace, name, uid, fieldPath, type, reason, message])
}
