import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chargeLines } from '../../src/billing/charges.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openMeter, type LedgerMeter } from '../../src/billing/meter.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import { projectResizes } from '../../src/billing/resizes.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type {
  AllocationObservation,
  PodObservation,
  TerminatedState,
} from '../../src/model/pod-observation.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { resourcesOf } from '../../src/model/pod-resources.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { Spec } from '../../src/model/spec.ts'
import type { UsageEvent, UsageFact } from '../../src/model/usage.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { aContainer, aPod } from '../support/builders.ts'
import { trueNanos, type TrueSize } from '../support/billing-oracle.ts'
import { FakeClock, fakeEpochMs as start } from '../support/fake-clock.ts'
import { smallSpec, terms, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const spec = (cores: bigint, gib: bigint): Spec => ({
  cpuMillis: cores * 1000n,
  memoryMiB: gib * 1024n,
  gpus: 0n,
})

describe('the resizes of a Pod', () => {
  const event = (atMs: number, fact: UsageFact, incarnation = 0): UsageEvent =>
    testEvent('p', { atMs, fact, incarnation })
  const asked = (generation: number, atMs: number, size: Spec, incarnation?: number) =>
    event(atMs, { kind: 'RESIZING', generation, terms: terms(size) }, incarnation)
  const done = (generation: number, atMs: number, incarnation?: number) =>
    event(atMs, { kind: 'RESIZED', generation }, incarnation)
  const refused = (generation: number) => event(start, { kind: 'VOIDED', reason: 'no', generation })
  const resizes = (...events: UsageEvent[]) =>
    projectResizes(events, terms(smallSpec)).map(({ generation, state, fromMs }) => [
      generation,
      state,
      fromMs === undefined ? undefined : fromMs - start,
    ])

  it('count from the record before the call when nothing is given back', () => {
    expect(resizes(asked(2, start + 50, spec(2n, 2n)), done(2, start + 70))).toEqual([[2, 'done', 50]])
  })

  it('count no later than the backend says that they were done, whatever our clock said', () => {
    expect(resizes(asked(2, start + 3_600_000, spec(2n, 2n)), done(2, start + 70))).toEqual([[2, 'done', 70]])
  })

  it('count from the backend’s word when something is: asking for less makes nothing cheaper', () => {
    const hour = 3_600_000
    expect(resizes(asked(2, start + 50, spec(1n, 1n)), done(2, start + hour))).toEqual([[2, 'done', hour]])
    expect(resizes(asked(2, start + 50, spec(4n, 1n)), done(2, start + hour))).toEqual([[2, 'done', hour]])
  })

  it('are compared with the last that was done', () => {
    expect(
      resizes(
        asked(2, start + 10, spec(4n, 4n)),
        asked(3, start + 20, spec(2n, 2n)),
        done(3, start + 30),
        asked(4, start + 40, spec(3n, 3n)),
        done(4, start + 60),
      ),
    ).toEqual([
      [2, 'under way', undefined],
      [3, 'done', 20],
      [4, 'done', 40],
    ])
  })

  it('do not count when refused, unless they were done all the same: from then on', () => {
    const big = asked(2, start + 50, spec(2n, 2n))
    expect(resizes(big, refused(2))).toEqual([[2, 'refused', undefined]])
    expect(resizes(big, refused(2), done(2, start + 70))).toEqual([[2, 'done', 70]])
  })

  it('are the Pod’s, whichever sandbox they were written down for', () => {
    expect(
      resizes(
        asked(2, start + 50, spec(2n, 2n), 0),
        asked(2, start + 60, spec(2n, 2n), 1),
        done(2, start + 90, 1),
      ),
    ).toEqual([[2, 'done', 50]])
  })
})

/** The Pod's life as the machine and the API server see it, with a meter that may be killed at any point. */
type Deed =
  | { readonly do: 'ask'; readonly cores: number; readonly gib: number }
  /** The process dies: before the record of what was asked last, after it, or after the backend's answer. */
  | { readonly do: 'crash'; readonly at: 'idle' | 'beforeRecord' | 'afterRecord' | 'afterCall' }
  | { readonly do: 'apply' }
  | { readonly do: 'refuse' }
  | { readonly do: 'loseSandbox' }
  | { readonly do: 'pass' }

const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('ask'), cores: size(), gib: size() }) },
  { weight: 4, arbitrary: fc.constant({ do: 'apply' }) },
  { weight: 3, arbitrary: fc.constant({ do: 'pass' }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('crash'),
      at: fc.constantFrom('idle', 'beforeRecord', 'afterRecord', 'afterCall'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'refuse' }) },
  { weight: 1, arbitrary: fc.constant({ do: 'loseSandbox' }) },
)

const grow: Deed = { do: 'ask', cores: 3, gib: 3 }
const shrink: Deed = { do: 'ask', cores: 1, gib: 2 }
const apply: Deed = { do: 'apply' }
const pass: Deed = { do: 'pass' }
const killedAfterEachStep = (['beforeRecord', 'afterRecord', 'afterCall'] as const).flatMap(
  (at): Deed[][] => {
    const crash: Deed = { do: 'crash', at }
    return [
      [grow, crash, pass, apply, pass],
      // The next size comes before anybody wrote down that the last was done.
      [grow, pass, apply, shrink, crash, pass, apply, pass],
      [shrink, crash, grow, crash, pass, apply, pass],
      [grow, crash, { do: 'loseSandbox' }, pass, apply, pass],
    ]
  },
)

function size(): fc.Arbitrary<number> {
  return fc.integer({ min: 1, max: 4 })
}

describe('the bill of a Pod that is resized', () => {
  let folder: string
  let ledger: LedgerStore
  let serial = 0
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-resizes-'))
    ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
  })
  afterAll(async () => {
    expect((await verifyLedger(ledger, { nowMs: start }, never)).problems).toEqual([])
    await ledger.close()
    await rm(folder, { recursive: true })
  })

  it('is what an oracle says that was held, whenever the process died', async () => {
    const deeds = fc.array(fc.tuple(fc.integer({ min: 1, max: 4_000_000 }), anyDeed), { maxLength: 14 })
    await fc.assert(
      fc.asyncProperty(deeds, async (steps) => {
        const life = new Life(ledger, `resized-${++serial}`)
        await life.begin()
        for (const [waitMs, deed] of steps) {
          await life.clock.advance(waitMs)
          await life.live(deed)
        }
        await life.clock.advance(1_000)
        await life.end()
        expect(await life.billedNanos()).toBe(life.trueNanos())
      }),
      { numRuns: 40, examples: killedAfterEachStep.map((steps) => [steps.map((deed) => [700, deed])]) },
    )
  }, 60_000)
})

/** Keeps the truth beside the meter, and shares nothing with it. */
class Life {
  readonly clock = new FakeClock()
  readonly #ledger: LedgerStore
  readonly #uid: string
  readonly #held: TrueSize[] = []
  readonly #sandboxes: { id: string; createdAtMs: number; endMs?: number }[] = []
  /** When the ledger first heard of a generation. */
  readonly #recordedMs = new Map<number, number>()
  #meter!: LedgerMeter
  #generation = 1
  #size = { cores: 1, gib: 1 }
  #allocation!: AllocationObservation & { size: { cores: number; gib: number } }
  #refused = 0

  constructor(ledger: LedgerStore, uid: string) {
    this.#ledger = ledger
    this.#uid = uid
  }

  async begin(): Promise<void> {
    await this.#startProcess()
    await this.#meter.intent(this.#pod(), node, never)
    this.#allocation = { ...this.#asked(), inEffectAtMs: this.clock.wallMs() }
    this.#makeSandbox()
    this.#hold(this.clock.wallMs())
    await this.#pass()
  }

  async live(deed: Deed): Promise<void> {
    switch (deed.do) {
      case 'ask':
        this.#generation += 1
        this.#size = { cores: deed.cores, gib: deed.gib }
        return
      case 'apply':
        return this.#apply()
      case 'pass':
        return await this.#pass()
      case 'refuse':
        return await this.#pass({ refuses: true })
      case 'loseSandbox': {
        const last = this.#sandboxes.at(-1)!
        last.endMs = this.clock.wallMs()
        await this.clock.advance(500)
        this.#makeSandbox()
        return await this.#pass()
      }
      case 'crash':
        if (deed.at !== 'idle') await this.#pass({ diesAt: deed.at })
        return await this.#startProcess()
    }
  }

  async end(): Promise<void> {
    // Whatever the process had in mind, it looks once more, and then the Pod has ended.
    await this.#pass()
    this.#sandboxes.at(-1)!.endMs = this.clock.wallMs()
    await this.#meter.record(this.#pod(), this.#observation('stopped'), never)
  }

  async billedNanos(): Promise<bigint> {
    const { intervals } = await this.#ledger.history(asPodUid(this.#uid), never)
    const lines = intervals.flatMap((interval) => chargeLines(interval, book, { nowMs: this.clock.wallMs() }))
    return lines.reduce((sum, { nanos }) => sum + nanos, 0n)
  }

  trueNanos(): bigint {
    const prices = [{ fromMs: 0, ...price }]
    return this.#sandboxes.reduce((sum, { createdAtMs: startMs, endMs = startMs }) => {
      const before = this.#held.filter(({ fromMs }) => fromMs <= startMs).at(-1)
      const within = this.#held.filter(({ fromMs }) => fromMs > startMs)
      const held = [...(before ? [{ ...before, fromMs: startMs }] : []), ...within]
      return sum + trueNanos({ startMs, endMs, held }, prices)
    }, 0n)
  }

  /** One pass of the worker: look, hand over what is new, write down what was seen. */
  async #pass({
    diesAt,
    refuses = false,
  }: { diesAt?: 'beforeRecord' | 'afterRecord' | 'afterCall'; refuses?: boolean } = {}): Promise<void> {
    const seen = this.#observation('running')
    const { cores, gib } = this.#allocation.size
    const differs = cores !== this.#size.cores || gib !== this.#size.gib
    const isNew = differs && this.#refused !== this.#generation
    if (isNew) {
      if (diesAt === 'beforeRecord') return
      await this.#meter.resizing(this.#pod(), seen, never)
      if (!this.#recordedMs.has(this.#generation)) this.#recordedMs.set(this.#generation, this.clock.wallMs())
      if (diesAt === 'afterRecord') return
      await this.clock.advance(20)
      if (refuses) {
        this.#refused = this.#generation
        await this.#meter.resizeRefused(asPodUid(this.#uid), this.#generation, 'no', never)
      } else this.#allocation = this.#asked()
    }
    if (diesAt) return
    await this.#meter.record(this.#pod(), seen, never)
  }

  #apply(): void {
    if (this.#allocation.inEffectAtMs !== undefined) return
    const nowMs = this.clock.wallMs()
    const before = this.#held.at(-1)!
    const { generation, size: after } = this.#allocation
    this.#allocation = { ...this.#allocation, inEffectAtMs: nowMs }
    const shrinks = after.cores < Number(before.cores) || after.gib < Number(before.gib)
    this.#hold(shrinks ? nowMs : Math.max(this.#recordedMs.get(generation)!, before.fromMs))
  }

  #hold(fromMs: number): void {
    const { cores, gib } = this.#allocation.size
    this.#held.push({ fromMs, cores: String(cores), gib: String(gib) })
  }

  #asked(): AllocationObservation & { size: { cores: number; gib: number } } {
    return { generation: this.#generation, resources: resourcesOf(this.#pod()), size: this.#size }
  }

  #makeSandbox(): void {
    const id = `${this.#uid}-${this.#sandboxes.length}`
    this.#sandboxes.push({ id, createdAtMs: this.clock.wallMs() })
  }

  async #startProcess(): Promise<void> {
    const options = { books: [book], clusterUid: 'c1', log: silentLog(), nodeFacts: () => node }
    this.#meter = await openMeter({ ledger: this.#ledger, clock: this.clock, ...options }, never)
  }

  #pod(): Pod {
    const { cores, gib } = this.#size
    const resources = { requests: { cpu: String(cores), memory: `${gib}Gi` } }
    return aPod({
      uid: this.#uid,
      metadata: { generation: this.#generation },
      spec: { containers: [aContainer({ resources })] },
    })
  }

  #observation(phase: 'running' | 'stopped'): PodObservation {
    const sandbox = this.#sandboxes.at(-1)!
    const before = this.#sandboxes.at(-2)
    const ended = (finishedAtMs: number): TerminatedState => ({
      kind: 'terminated',
      exitCode: 0,
      reason: 'Completed',
      startedAtMs: start,
      finishedAtMs,
    })
    const { size: _size, ...allocation } = this.#allocation
    return {
      uid: asPodUid(this.#uid),
      namespace: 'default',
      name: 'web',
      nodeName: 'burst-0',
      incarnation: this.#sandboxes.length - 1,
      supervised: true,
      generation: this.#generation,
      phase,
      sandbox: { id: sandbox.id, createdAtMs: sandbox.createdAtMs, ready: phase === 'running', podIps: [] },
      allocation,
      containers: [
        {
          name: 'main',
          kind: 'main',
          image: 'i',
          restartCount: 0,
          started: true,
          ready: true,
          state:
            phase === 'stopped'
              ? ended(sandbox.endMs ?? 0)
              : { kind: 'running', startedAtMs: sandbox.createdAtMs },
          ...(before && { lastTerminated: ended(before.endMs ?? 0) }),
        },
      ],
    }
  }
}

// Prices per second, and every size as it is asked for.
const price = { core: '0.000004976', gib: '0.000002073' }
const book: PriceBook = {
  ...tencentEksIntl,
  id: 'per-second',
  prices: [
    { sku: 'core', unit: 'Core-Seconds', price: price.core },
    { sku: 'memory', unit: 'GiB-Seconds', price: price.gib },
  ],
  specTable: { kind: 'exact', defaults: { cpuMillis: 250n, memoryMiB: 512n } },
}
const node = { pool: 'burst', node: 'burst-0', priceBook: book.id }
