import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { billedEndMs, chargeLines, floorHour, hourMs, sliceInterval } from '../../src/billing/charges.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import { billingTerms } from '../../src/billing/meter.ts'
import { projectPod, type UsageInterval } from '../../src/billing/projection.ts'
import { checkPriceBook } from '../../src/config/check-price-book.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { formatNanos } from '../../src/model/money.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import type { Spec } from '../../src/model/spec.ts'
import { purchaseAnnotation } from '../../src/model/words.ts'
import { trueNanos, type TruePrice } from '../support/billing-oracle.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
import { cellsOf, cheapest, type Cell } from '../support/spec-cells.ts'
import { lifeOf, terms, testEvent } from '../support/usage-events.ts'

interface Life {
  readonly startMs: number
  readonly endMs?: number
  readonly spec?: Spec
  readonly resizes?: readonly { atMs: number; spec: Spec }[]
}

function intervalOf({ resizes = [], ...life }: Life): UsageInterval {
  const events = [
    ...lifeOf('p', life),
    ...resizes.flatMap(({ atMs, spec }, generation) => [
      testEvent('p', { atMs, fact: { kind: 'RESIZING', generation, terms: terms(spec) } }),
      testEvent('p', { atMs, fact: { kind: 'RESIZED', generation } }),
    ]),
  ]
  const [interval] = projectPod(asPodUid('p'), events).intervals
  if (!interval) throw new Error('the life has no interval')
  return interval
}

function nanosOf(interval: UsageInterval, book: PriceBook = tencentEksIntl, nowMs = start): bigint {
  return chargeLines(interval, book, { nowMs }).reduce((sum, { nanos }) => sum + nanos, 0n)
}

const spec = (cores: number, gib: number): Spec => ({
  cpuMillis: BigInt(cores * 1000),
  memoryMiB: BigInt(gib * 1024),
  gpus: 0n,
})

describe('Tencent’s published examples', () => {
  it('Sample 2: 2 × 10 Pods of 4 cores and 8 GiB for 600 s are 0.437856, exactly', () => {
    const one = nanosOf(intervalOf({ startMs: start, endMs: start + 600_000, spec: spec(4, 8) }))
    expect(formatNanos(20n * one)).toBe('0.437856')
  })

  it('Sample 1 prints 0.019495, which its own formula does not give: 2 × (2 cores, 4 GiB) × 300 s', () => {
    const one = nanosOf(intervalOf({ startMs: start, endMs: start + 300_000, spec: spec(2, 4) }))
    expect(formatNanos(2n * one)).toBe('0.0109464')
  })
})

const turns: readonly TruePrice[] = [
  { fromMs: 0, core: '0.000004976', gib: '0.000002073' },
  { fromMs: start + 5_400_123, core: '0.000005', gib: '0.000002222' },
  { fromMs: start + 8_000_000, core: '0.000003333', gib: '0.000000001' },
]
const turning: PriceBook = {
  ...tencentEksIntl,
  prices: turns.flatMap(({ fromMs, core, gib }, index) => {
    const until = turns[index + 1]?.fromMs
    const valid = {
      validFrom: new Date(fromMs).toISOString(),
      ...(until === undefined ? {} : { validTo: new Date(until).toISOString() }),
    }
    return [
      { sku: 'core', unit: 'Core-Seconds', price: core, ...valid } as const,
      { sku: 'memory', unit: 'GiB-Seconds', price: gib, ...valid } as const,
    ]
  }),
}

const anySpec = fc
  .record({ cpu: fc.integer({ min: 1, max: 64_000 }), memory: fc.integer({ min: 1, max: 262_144 }) })
  .map(({ cpu, memory }): Spec => ({ cpuMillis: BigInt(cpu), memoryMiB: BigInt(memory), gpus: 0n }))

const anyLife = fc
  .record({
    startMs: fc.nat(4_000_000).map((ms) => start + ms),
    durationMs: fc.oneof(fc.nat(2_000), fc.nat(10_000_000)),
    spec: anySpec,
    resizes: fc.array(fc.record({ afterMs: fc.nat(9_000_000), spec: anySpec }), { maxLength: 3 }),
  })
  .map(({ startMs, durationMs, spec, resizes }) => ({
    startMs,
    endMs: startMs + durationMs,
    spec,
    resizes: resizes
      .toSorted((a, b) => a.afterMs - b.afterMs)
      .map(({ afterMs, spec }) => ({ atMs: startMs + afterMs, spec })),
  }))

describe('charges', () => {
  it('agree to the last nano-unit with a meter that counts second by second', () => {
    fc.assert(
      fc.property(anyLife, (life) => {
        const { startMs, endMs, spec, resizes } = life
        const held = [{ atMs: startMs, spec }, ...resizes].map(({ atMs, spec }) => ({
          fromMs: atMs,
          cores: String(Number(spec.cpuMillis) / 1000),
          gib: String(Number(spec.memoryMiB) / 1024),
        }))
        expect(nanosOf(intervalOf(life), turning)).toBe(trueNanos({ startMs, endMs, held }, turns))
      }),
      { numRuns: 150 },
    )
  })

  it('cut an interval into slices that meet and add up to it', () => {
    fc.assert(
      fc.property(anyLife, (life) => {
        const slices = sliceInterval(intervalOf(life), turning, { nowMs: start })
        expect(slices.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)).toBe(
          life.endMs - life.startMs,
        )
        for (const [index, { fromMs, toMs }] of slices.entries()) {
          expect(fromMs).toBe(slices[index - 1]?.toMs ?? life.startMs)
          expect(floorHour(toMs - 1)).toBe(floorHour(fromMs))
        }
      }),
    )
  })

  it('come out the same hour by hour as all at once', () => {
    fc.assert(
      fc.property(anyLife, (life) => {
        const interval = intervalOf(life)
        const hours = Array.from({ length: 5 }, (_, index) => start + index * hourMs)
        const parts = hours.flatMap((fromMs) =>
          chargeLines(interval, turning, { nowMs: start, period: { fromMs, toMs: fromMs + hourMs } }),
        )
        expect(parts).toEqual(chargeLines(interval, turning, { nowMs: start }))
      }),
    )
  })

  it('belong to the hour in which they begin, also over a month’s end', () => {
    const turnMs = Date.UTC(2026, 1, 1)
    const lines = chargeLines(intervalOf({ startMs: turnMs - 1, endMs: turnMs + 1 }), tencentEksIntl, {
      nowMs: start,
    })
    expect(lines.map((line) => [line.sku, new Date(line.hourMs).toISOString(), line.quantity])).toEqual([
      ['eks-intel-core', '2026-01-31T23:00:00.000Z', 1000n],
      ['eks-intel-memory', '2026-01-31T23:00:00.000Z', 2048n],
      ['eks-intel-core', '2026-02-01T00:00:00.000Z', 1000n],
      ['eks-intel-memory', '2026-02-01T00:00:00.000Z', 2048n],
    ])
  })

  it('round up once an interval, and fill up to a minimum, where the book says so', () => {
    const minute: PriceBook = { ...tencentEksIntl, secondRounding: 'up', minimumSeconds: 60 }
    const billedMs = (ranMs: number): number =>
      billedEndMs(intervalOf({ startMs: start + 7, endMs: start + 7 + ranMs }), minute, start) - start - 7
    expect([0, 1_000, 60_000, 60_001].map(billedMs)).toEqual([60_000, 60_000, 60_000, 61_000])
  })

  it('price what still runs up to now, and nothing before its start', () => {
    const open = intervalOf({ startMs: start, spec: spec(1, 1) })
    expect(nanosOf(open, tencentEksIntl, start + 1000)).toBe(4976n + 2073n)
    expect(nanosOf(open, tencentEksIntl, start - 1000)).toBe(0n)
    const minute: PriceBook = { ...tencentEksIntl, minimumSeconds: 60 }
    expect(nanosOf(open, minute, start)).toBe(60n * (4976n + 2073n))
    expect(nanosOf(open, minute, start - 1)).toBe(0n)
  })

  it('show what has no price, at no cost', () => {
    const gpu = intervalOf({ startMs: start, endMs: start + 1000, spec: { ...spec(1, 1), gpus: 2n } })
    expect(chargeLines(gpu, tencentEksIntl, { nowMs: start })).toMatchObject([
      { resource: 'cpu', nanos: 4976n },
      { resource: 'memory', nanos: 2073n },
      { resource: 'gpu', sku: undefined, quantity: 2000n, nanos: 0n },
    ])
  })
})

// Each turn's prices are those of Intel on demand; spot is a fifth.
const tableTurns = [
  { fromMs: 0, core: 5000, gib: 2000 },
  { fromMs: start + 1_800_007, core: 10_000, gib: 3000 },
  { fromMs: start + 7_200_000, core: 3500, gib: 1500 },
] as const
const nano = (units: number): string => `0.${String(units).padStart(9, '0')}`
const turningTable: PriceBook = {
  ...tencentEksIntl,
  prices: tableTurns.flatMap(({ fromMs, core, gib }, index) => {
    const until = tableTurns[index + 1]?.fromMs
    const valid = {
      ...(fromMs > 0 && { validFrom: new Date(fromMs).toISOString() }),
      ...(until !== undefined && { validTo: new Date(until).toISOString() }),
    }
    return (['', '-spot'] as const).flatMap((suffix) => {
      const share = suffix === '' ? 1 : 5
      const spot = suffix === '' ? {} : ({ purchase: 'spot' } as const)
      return [
        { sku: `core${suffix}`, unit: 'Core-Seconds', price: nano(core / share), ...spot, ...valid } as const,
        { sku: `memory${suffix}`, unit: 'GiB-Seconds', price: nano(gib / share), ...spot, ...valid } as const,
      ]
    })
  }),
}
const intelCells = cellsOf(`0.25: 0.5, 1, 2
  0.5: 1, 2, 3, 4
  1: 1-8
  2: 4-16
  4: 8-32
  8: 16-32
  12: 24-48
  16: 32-64`)

const anyWish = fc.record({
  millis: fc.integer({ min: 1, max: 16_000 }),
  mib: fc.integer({ min: 1, max: 65_536 }),
})
const anyTableLife = fc.record({
  startMs: fc.nat(4_000_000).map((ms) => start + ms),
  durationMs: fc.nat(9_000_000),
  wish: anyWish,
  resizes: fc.array(fc.record({ afterMs: fc.nat(9_000_000), wish: anyWish }), { maxLength: 4 }),
  isSpot: fc.boolean(),
})

describe('a Pod that is resized over the cells of a table while prices change', () => {
  const podAsking = ({ millis, mib }: Cell, isSpot: boolean): Pod => ({
    metadata: { annotations: isSpot ? { [purchaseAnnotation]: 'spot' } : {} },
    spec: {
      containers: [{ name: 'a', resources: { requests: { cpu: `${millis}m`, memory: `${mib}Mi` } } }],
    },
  })

  const slow = { timeout: 30_000 }
  it(
    'is billed each moment the cheapest cell that holds it, at the price of that moment, to the last nano-unit',
    slow,
    () => {
      expect(checkPriceBook(turningTable)).toEqual([])
      fc.assert(
        fc.property(anyTableLife, ({ startMs, durationMs, wish, resizes, isSpot }) => {
          const endMs = startMs + durationMs
          const later = resizes.toSorted((a, b) => a.afterMs - b.afterMs)
          const wishes = [
            { atMs: startMs, wish },
            ...later.map(({ afterMs, wish }) => ({ atMs: startMs + afterMs, wish })),
          ]
          const sizes = wishes.map(({ atMs, wish }) => ({
            atMs,
            spec: billingTerms(podAsking(wish, isSpot), turningTable).spec,
          }))
          const interval = intervalOf({ startMs, endMs, spec: sizes[0]!.spec, resizes: sizes.slice(1) })
          const held = wishes.map(({ atMs, wish }) => {
            const cell = cheapest(intelCells, wish, [4976, 2073])
            return {
              fromMs: atMs,
              cores: String((cell?.millis ?? 0) / 1000),
              gib: String((cell?.mib ?? 0) / 1024),
            }
          })
          const prices = tableTurns.map(({ fromMs, core, gib }) => {
            const share = isSpot ? 5 : 1
            return { fromMs, core: nano(core / share), gib: nano(gib / share) }
          })
          expect(nanosOf(interval, turningTable)).toBe(trueNanos({ startMs, endMs, held }, prices))
        }),
        { numRuns: 40 },
      )
    },
  )

  it('goes from 4 cores to 12 when it asks for a GiB more than 32', () => {
    const sizeOf = (gib: number): Spec =>
      billingTerms(podAsking({ millis: 4000, mib: gib * 1024 }, false), tencentEksIntl).spec
    const second = { startMs: start, endMs: start + 2000, spec: sizeOf(32) }
    const interval = intervalOf({ ...second, resizes: [{ atMs: start + 1000, spec: sizeOf(33) }] })
    // 4 × 4976 + 32 × 2073, then 12 × 4976 + 33 × 2073.
    expect(nanosOf(interval)).toBe(86_240n + 128_121n)
  })

  it('pays for what is filled up to a minimum by the prices of that time, too', () => {
    const turnMs = start + 1_800_007
    const minute: PriceBook = { ...turningTable, minimumSeconds: 60, secondRounding: 'up' }
    const life = intervalOf({ startMs: turnMs - 30_000, endMs: turnMs - 29_000, spec: spec(1, 1) })
    expect(nanosOf(life, minute)).toBe(30n * 7000n + 30n * 13_000n)
  })
})
