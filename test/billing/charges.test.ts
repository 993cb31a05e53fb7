import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { billedEndMs, chargeLines, floorHour, hourMs, sliceInterval } from '../../src/billing/charges.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import { projectPod, type UsageInterval } from '../../src/billing/projection.ts'
import { formatNanos } from '../../src/model/money.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import type { Spec } from '../../src/model/spec.ts'
import { trueNanos, type TruePrice } from '../support/billing-oracle.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
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
