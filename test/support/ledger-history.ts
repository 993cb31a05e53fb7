import * as fc from 'fast-check'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { floorHour, hourMs } from '../../src/billing/charges.ts'
import { LedgerMeter } from '../../src/billing/meter.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { usageEvent } from '../../src/model/usage.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, fakeEpochMs } from './fake-clock.ts'
import { LedgerWorld, resourcesFor, type TrueSpec } from './ledger-world.ts'

/** What happens next, and how long after what happened before. */
export interface Step {
  readonly afterMs: number
  readonly act: Act
}

export type Act =
  | 'look'
  /** Told twice. */
  | 'look twice'
  | 'run'
  | 'restart'
  | 'complete'
  | 'lose the sandbox'
  | 'replace the sandbox'
  /** At once, before anybody has seen the one that was lost. */
  | 'replace the sandbox unseen'
  /** Nobody hears of anything until the node is back. */
  | 'node dies'
  | 'node is back'
  | 'backend forgets'
  | 'delete'
  /** The meter dies, and begins anew. */
  | 'restart the meter'
  /** An observation from before comes once more, too late: which of them, as a part of all. */
  | { readonly oldNews: number }
  /** It dies in the next look, before or after its n-th call. */
  | { readonly dieAt: number }
  | { readonly resize: TrueSpec; readonly takesMs: number; readonly refused: boolean }
  /** The meter's wall clock is set; back when negative. */
  | { readonly stepMs: number }
  /** Everything before the last whole hour is sealed; with 1 before the next one, by a clock that is ahead. */
  | { readonly sealHours: number }
  /** Somebody credits it, as of that long ago. */
  | { readonly creditCents: number; readonly agoMs: number }

export interface History {
  readonly spec: TrueSpec
  readonly book: string
  readonly startMs: number
  readonly steps: readonly Step[]
}

/** What the meter was told, and when by its own clock. */
export interface Told {
  readonly observed: PodObservation
  readonly trueMs: number
  readonly meterMs: number
}

/** What was set aside since when, by the meter's clock when it asked and by the backend's when it was done. */
export interface TrueResize {
  readonly generation: number
  readonly spec: TrueSpec
  askedMs: number
  /** Infinity: never. */
  doneMs: number
  /** The backend had lost it, and began anew at that size. */
  readonly begun: boolean
}

export const heartbeatMs = 60_000
export const lookMs = 30_000

const sizes = fc.record({
  cpuMillis: fc.constantFrom(250n, 500n, 1000n, 3000n),
  memoryMiB: fc.constantFrom(512n, 1000n, 4096n),
})

const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Act>('look') },
  { weight: 3, arbitrary: fc.constantFrom<Act>('run', 'restart', 'lose the sandbox', 'replace the sandbox') },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Act>('look twice', 'restart the meter', 'replace the sandbox unseen'),
  },
  { weight: 1, arbitrary: fc.nat(9).map((tenths) => ({ oldNews: tenths / 10 })) },
  { weight: 1, arbitrary: fc.constantFrom<Act>('node dies', 'node is back', 'backend forgets') },
  { weight: 1, arbitrary: fc.constantFrom<Act>('complete', 'delete') },
  { weight: 1, arbitrary: fc.nat(7).map((dieAt) => ({ dieAt })) },
  {
    weight: 2,
    arbitrary: fc.record({
      resize: sizes.map((size) => ({ ...size, gpus: 0n })),
      takesMs: fc.constantFrom(0, 40, 20_000),
      refused: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(-3_600_000, -5_000, 2_500, 3_600_000).map((stepMs) => ({ stepMs })),
  },
)

const sealingActs: fc.Arbitrary<Act> = fc.oneof(
  { weight: 12, arbitrary: acts },
  { weight: 3, arbitrary: fc.constantFrom(-1, 0, 0, 0, 1).map((sealHours) => ({ sealHours })) },
  {
    weight: 1,
    arbitrary: fc.record({ creditCents: fc.integer({ min: -99, max: 99 }), agoMs: fc.nat(5_000_000) }),
  },
)

/** Mostly little at once; now and then long enough for heartbeats. */
const delays = fc.oneof(
  { weight: 5, arbitrary: fc.nat(900) },
  { weight: 4, arbitrary: fc.nat(29_000) },
  { weight: 1, arbitrary: fc.nat(150_000) },
)

/** Now and then a whole hour goes by, too. */
const longDelays = fc.oneof({ weight: 12, arbitrary: delays }, { weight: 1, arbitrary: fc.nat(5_000_000) })

/** With `seals`, periods are sealed under way. */
export function histories(
  books: readonly PriceBook[],
  { seals = false }: { readonly seals?: boolean } = {},
): fc.Arbitrary<History> {
  return fc.record({
    spec: fc.tuple(sizes, fc.nat(1)).map(([size, gpus]) => ({ ...size, gpus: BigInt(gpus) })),
    book: fc.constantFrom(...books.map(({ id }) => id)),
    // Around the edge of an hour at which prices change.
    startMs: fc.integer({ min: -900_000, max: 60_000 }).map((ms) => fakeEpochMs + 3_600_000 + ms),
    steps: fc.array(
      seals
        ? fc.record({ afterMs: longDelays, act: sealingActs })
        : fc.record({ afterMs: delays, act: acts }),
      { maxLength: 14 },
    ),
  })
}

class Died extends Error {}

export interface PodLifeOptions {
  readonly ledger: LedgerStore
  readonly books: readonly PriceBook[]
  readonly history: History
  /** Seals everything before that time. */
  readonly seal?: (toMs: number) => Promise<void>
}

/**
 * One Pod of one name and UID through its life: the world that it lives in, the API server's word about it, and a real
 * meter on a real ledger that looks at both, in the order in which src/pods/pod-worker.ts does.
 */
export class PodLife {
  readonly world: LedgerWorld
  readonly told: Told[] = []
  /** Only the size of what was seen then was written down. */
  readonly toldSizes: Told[] = []
  /** What was told once more, when that was long over. */
  readonly stale: Told[] = []
  /** What was set aside since when, by the meter's clock when it asked and by the backend's when it was done. */
  readonly resized: {
    generation: number
    askedMs: number
    doneMs: number
    spec: TrueSpec
    begun: boolean
  }[] = []
  /** When its end was asked for, by the meter's clock, and which sandbox it had. */
  readonly stoppings: { readonly atMs: number; readonly sandboxes: number }[] = []
  creditedNanos = 0n
  /** By how much the meter's clock was ever wrong when it began. */
  mostSkewMs = 0
  /** Its clock was set back under way. */
  wasSetBack = false
  readonly #ledger: LedgerStore
  readonly #books: readonly PriceBook[]
  readonly #history: History
  readonly #seal: PodLifeOptions['seal']
  readonly #clock: FakeClock
  #trueMs: number
  #meter: LedgerMeter
  #pod: Pod
  #api: 'wanted' | 'deleting' | 'gone' = 'wanted'
  #over = false
  #hasRun = false
  #handedOver = 1
  #nodeIsDead = false
  #dieAt = Infinity
  #calls = 0
  #credits = 0

  constructor(uid: string, name: string, { ledger, books, history, seal }: PodLifeOptions) {
    this.world = new LedgerWorld(uid, name)
    this.#ledger = ledger
    this.#books = books
    this.#history = history
    this.#seal = seal
    this.#trueMs = history.startMs
    this.#clock = new FakeClock(history.startMs)
    this.#meter = this.#newMeter()
    this.#pod = this.#podOf(1, history.spec)
  }

  /** All of it, to its end: the Pod is deleted, nothing fails any more, and the last traces are gone. */
  async live(): Promise<void> {
    await this.#look()
    for (const { afterMs, act } of this.#history.steps) {
      await this.#pass(afterMs)
      await this.#do(act)
    }
    this.#nodeIsDead = false
    this.#dieAt = Infinity
    if (this.#api === 'wanted') this.#api = 'deleting'
    for (let look = 0; look < 4; look += 1) {
      await this.#look()
      await this.#pass(lookMs)
    }
    if (this.world.isHeld) throw new Error('the backend was never told to forget')
  }

  /** The meter's time: as the clock stood when it began, going on evenly; never before what the backend has told. */
  #readingMs(): number {
    return Math.max((this.#anchorMs ?? 0) + this.#clock.monotonicMs(), this.world.latestMs(this.#trueMs))
  }

  #anchorMs: number | undefined

  /** The first that the meter hears of the Pod. */
  #anchor(): void {
    if (this.#anchorMs !== undefined) return
    this.#anchorMs = this.#clock.wallMs() - this.#clock.monotonicMs()
    this.mostSkewMs = Math.max(this.mostSkewMs, Math.abs(this.#clock.wallMs() - this.#trueMs))
  }

  #newMeter(): LedgerMeter {
    this.#anchorMs = undefined
    return new LedgerMeter({
      ledger: this.#ledger,
      books: this.#books,
      clusterUid: 'c1',
      clock: this.#clock,
      log: silentLog(),
      nodeFacts: () => this.#node,
      heartbeatMs,
    })
  }

  get #node() {
    return { pool: 'burst', node: 'burst-0', priceBook: this.#history.book }
  }

  /** Time goes by, with the looks that the resync makes; a dead node's are in vain. */
  async #pass(ms: number): Promise<void> {
    let left = ms
    while (left > 0) {
      const step = Math.min(left, lookMs)
      await this.#clock.advance(step)
      this.#trueMs += step
      left -= step
      if (step === lookMs) await this.#look()
    }
  }

  async #do(act: Act): Promise<void> {
    const { world } = this
    if (typeof act === 'object') {
      if ('dieAt' in act) this.#dieAt = act.dieAt
      else if ('stepMs' in act) this.#setClock(act.stepMs)
      else if ('oldNews' in act) await this.#tellAgain(act.oldNews)
      else if ('sealHours' in act) await this.#seal?.(floorHour(this.#trueMs) + act.sealHours * hourMs)
      else if ('creditCents' in act) await this.#credit(act)
      else await this.#resize(act)
      return
    }
    switch (act) {
      case 'look':
        return await this.#look()
      case 'look twice':
        await this.#look()
        return await this.#look()
      case 'run':
        return world.run(this.#trueMs)
      case 'restart':
        return world.end(this.#trueMs, false)
      case 'complete':
        return world.end(this.#trueMs, true)
      case 'lose the sandbox':
        return world.loseSandbox(this.#trueMs)
      case 'replace the sandbox':
        await this.#look()
        // Nothing is made anew in the millisecond in which the one before it ended.
        await this.#pass(1)
        return world.replaceSandbox(this.#trueMs)
      case 'replace the sandbox unseen':
        world.loseSandbox(this.#trueMs)
        await this.#pass(1)
        return world.replaceSandbox(this.#trueMs)
      case 'node dies':
        this.#nodeIsDead = true
        return
      case 'node is back':
        this.#nodeIsDead = false
        return await this.#look()
      case 'backend forgets':
        this.#overtake(this.#trueMs)
        world.vanish(this.#trueMs)
        // As with a sandbox that is replaced: what comes next comes later.
        return await this.#pass(1)
      case 'delete':
        if (this.#api === 'wanted') this.#api = 'deleting'
        return await this.#look()
      case 'restart the meter':
        this.#meter = this.#newMeter()
        return
    }
  }

  async #tellAgain(part: number): Promise<void> {
    const old = this.told[Math.floor(this.told.length * part)]
    if (!old || this.#nodeIsDead) return
    this.#anchor()
    this.stale.push({ ...old, trueMs: this.#trueMs })
    await this.#meter.record(this.#pod, old.observed, never)
  }

  async #credit({ creditCents, agoMs }: Extract<Act, { creditCents: number }>): Promise<void> {
    const { uid } = this.world
    const amount = `${creditCents < 0 ? '-' : ''}0.${String(Math.abs(creditCents)).padStart(2, '0')}`
    const reference = String(this.#credits++)
    const about = { namespace: 'default', workload: '', pod: this.world.name, pool: 'burst' }
    const fact = { kind: 'ADJUSTED', reference, reason: 'slow', amount, currency: 'USD', about } as const
    const common = { clusterUid: 'c1', podUid: asPodUid(uid), incarnation: 0, source: 'person' } as const
    const atMs = this.#trueMs - agoMs
    this.creditedNanos += BigInt(creditCents) * 10_000_000n
    await this.#ledger.append([usageEvent({ ...common, atMs, observedMs: this.#trueMs, fact })], never)
  }

  #setClock(byMs: number): void {
    this.#clock.stepWall(byMs)
    this.wasSetBack ||= byMs < 0
  }

  async #resize({ resize, takesMs, refused }: Extract<Act, { resize: TrueSpec }>): Promise<void> {
    if (this.#api !== 'wanted' || this.#over) return
    const generation = (this.#pod.metadata?.generation ?? 0) + 1
    // Cards cannot be resized.
    const spec = { ...resize, gpus: this.#history.spec.gpus }
    this.#pod = this.#podOf(generation, spec)
    this.#wanted = { generation, spec, takesMs, refused }
    await this.#look()
  }

  #wanted: { generation: number; spec: TrueSpec; takesMs: number; refused: boolean } | undefined

  /** One look, as the worker does it. A crash in it is a new meter; the next look begins from the start. */
  async #look(): Promise<void> {
    if (this.#nodeIsDead) return
    this.#calls = 0
    try {
      await this.#sync()
    } catch (error) {
      if (!(error instanceof Died)) throw error
      this.#dieAt = Infinity
      this.#meter = this.#newMeter()
    }
  }

  async #sync(): Promise<void> {
    const { world } = this
    const uid = asPodUid(world.uid)
    const observed = world.observe(this.#trueMs)
    this.#anchor()
    const stopped = observed?.phase === 'stopped'
    if (this.#api === 'wanted' && !this.#over) {
      if (!observed) await this.#begin()
      else if (!stopped && observed.phase !== 'stopping') await this.#handOver(observed)
    } else if (this.#api !== 'gone' && observed && !stopped) {
      await this.#call(async () => {
        this.stoppings.push({ atMs: this.#readingMs(), sandboxes: world.sandboxes.length })
        await this.#meter.stopping(observed, never)
      })
      await this.#call(() => Promise.resolve(world.stop(this.#trueMs, 700)))
    }
    if (observed) {
      await this.#call(async () => {
        await this.#meter.record(this.#pod, observed, never)
        this.told.push(this.#toldNow(observed))
      })
      this.#hasRun ||= observed.containers[0]?.state.kind !== 'waiting'
      this.#over ||= stopped
    }
    if (this.#api === 'deleting' && (!observed || stopped)) {
      if (!observed) await this.#call(() => this.#meter.voided(uid, 'deleted before it started', never))
      this.#api = 'gone'
    }
    if (this.#api === 'gone' && stopped) await this.#call(() => Promise.resolve(world.vanish(this.#trueMs)))
  }

  async #begin(): Promise<void> {
    const { world } = this
    const uid = asPodUid(world.uid)
    if (this.#hasRun) await this.#call(() => this.#meter.closeLost(uid, never))
    await this.#call(() => this.#meter.intent(this.#pod, this.#node, never))
    await this.#call(() => {
      const { generation = 0 } = this.#pod.metadata ?? {}
      const spec = this.#wanted?.spec ?? this.#history.spec
      world.start(this.#trueMs, generation, spec)
      this.#begunAt(generation, spec)
      this.#handedOver = generation
      return Promise.resolve()
    })
  }

  /** A backend that lost all begins at the size that is wanted now. */
  #begunAt(generation: number, spec: TrueSpec): void {
    if (generation === 1) return
    const known = this.resized.find((resize) => resize.generation === generation)
    // That it had it before, too, is nobody's to know who was not told then.
    const isTold = [...this.told, ...this.toldSizes].some(
      ({ observed: { allocation } }) =>
        allocation?.generation === generation && allocation.inEffectAtMs !== undefined,
    )
    if (isTold) return
    if (known) this.resized.splice(this.resized.indexOf(known), 1)
    this.resized.push({ generation, askedMs: this.#trueMs, doneMs: this.#trueMs, spec, begun: true })
  }

  async #handOver(observed: PodObservation): Promise<void> {
    const wanted = this.#wanted
    if (!wanted || wanted.generation <= this.#handedOver) return
    const { generation, spec, takesMs, refused } = wanted
    await this.#call(async () => {
      const known = this.resized.some((resize) => resize.generation === generation)
      if (!known) {
        this.resized.push({ generation, askedMs: this.#readingMs(), doneMs: Infinity, spec, begun: false })
      }
      await this.#meter.resizing(this.#pod, observed, never)
      this.toldSizes.push(this.#toldNow(observed))
    })
    const resize = this.resized.find((candidate) => candidate.generation === generation)
    if (refused) {
      this.#handedOver = generation
      await this.#call(() => this.#meter.resizeRefused(asPodUid(this.world.uid), generation, 'no', never))
      return
    }
    await this.#call(() => {
      this.#overtake(this.#trueMs)
      this.world.resize(this.#trueMs, generation, spec, takesMs)
      if (resize) resize.doneMs = this.#trueMs + takesMs
      this.#handedOver = generation
      return Promise.resolve()
    })
  }

  #toldNow(observed: PodObservation): Told {
    return { observed, trueMs: this.#trueMs, meterMs: this.#readingMs() }
  }

  /** What was not done by then never will be. */
  #overtake(atMs: number): void {
    for (const resize of this.resized) if (resize.doneMs > atMs) resize.doneMs = Infinity
  }

  /** Even numbers die before a call, odd ones after it. */
  async #call(call: () => Promise<void>): Promise<void> {
    if (this.#dieAt === this.#calls * 2) throw new Died()
    await call()
    if (this.#dieAt === this.#calls * 2 + 1) throw new Died()
    this.#calls += 1
  }

  #podOf(generation: number, spec: TrueSpec): Pod {
    const { uid, name } = this.world
    return {
      metadata: { uid, name, namespace: 'default', generation },
      spec: { containers: [{ name: 'main', resources: resourcesFor(spec).containers['main'] ?? {} }] },
    }
  }
}

const never = new AbortController().signal
