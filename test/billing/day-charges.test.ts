import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chargeLines, hourMs } from '../../src/billing/charges.ts'
import { dayCharges, dayMs, floorDay, type DayCharge } from '../../src/billing/day-charges.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import { projectPod, type UsageInterval } from '../../src/billing/projection.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { BilledResource, PriceBook } from '../../src/model/price-book.ts'
import { noQuantities } from '../../src/model/usage.ts'
import { lifeOf, terms, testEvent } from '../support/usage-events.ts'

const start = Date.UTC(2026, 9, 30)

/** Two cores' prices, one of them from the middle of an hour on; GPUs have none. */
const turning: PriceBook = {
  ...tencentEksIntl,
  minimumSeconds: 60,
  secondRounding: 'up',
  prices: [
    {
      sku: 'a',
      unit: 'Core-Seconds',
      price: '0.000004976',
      validTo: new Date(start + 3 * dayMs + 1_234_567).toISOString(),
    },
    {
      sku: 'b',
      unit: 'Core-Seconds',
      price: '0.0000077',
      validFrom: new Date(start + 3 * dayMs + 1_234_567).toISOString(),
    },
    { sku: 'c', unit: 'GiB-Hours', price: '0.0071' },
  ],
}

const anInstant = fc.oneof(
  fc.integer({ min: 0, max: 8 * dayMs }),
  fc.integer({ min: 0, max: 8 * 24 }).map((hour) => hour * hourMs),
)

const aLife = fc.record({
  startMs: anInstant,
  lastsMs: fc.oneof(fc.integer({ min: 0, max: 90_000 }), anInstant),
  open: fc.boolean(),
  resizes: fc.array(fc.record({ afterMs: anInstant, cores: fc.integer({ min: 1, max: 9 }) }), {
    maxLength: 3,
  }),
  billed: fc.option(
    fc.record({ from: fc.integer({ min: 0, max: 200 }), hours: fc.integer({ min: 0, max: 99 }) }),
  ),
})

function intervalOf(life: typeof aLife extends fc.Arbitrary<infer T> ? T : never): UsageInterval {
  const startMs = start + life.startMs
  const events = lifeOf('p', {
    startMs,
    ...(life.open ? {} : { endMs: startMs + life.lastsMs }),
    spec: { cpuMillis: 1500n, memoryMiB: 3000n, gpus: 1n },
  })
  for (const [generation, { afterMs, cores }] of life.resizes.entries()) {
    const spec = { cpuMillis: BigInt(cores) * 500n, memoryMiB: BigInt(cores) * 700n, gpus: 0n }
    const atMs = startMs + afterMs
    events.push(testEvent('p', { atMs, fact: { kind: 'RESIZING', generation, terms: terms(spec) } }))
    events.push(testEvent('p', { atMs: atMs + 5, fact: { kind: 'RESIZED', generation } }))
  }
  const [interval] = projectPod(asPodUid('p'), events).intervals
  if (!interval) throw new Error('the life has no interval')
  if (!life.billed) return interval
  const fromMs = start + life.billed.from * hourMs
  return { ...interval, billed: { fromMs, toMs: fromMs + life.billed.hours * hourMs } }
}

/** The other way round: every line, added up. */
function summed(interval: UsageInterval, options: Parameters<typeof chargeLines>[2]): DayCharge[] {
  const days = new Map<number, DayCharge>()
  const fields = { cpu: 'cpuMilliMs', memory: 'memoryMiBMs', gpu: 'gpuMs' } as const
  for (const line of chargeLines(interval, turning, options)) {
    const day = floorDay(line.hourMs)
    const sum = days.get(day) ?? { dayMs: day, nanos: 0n, quantities: noQuantities, unpriced: [] }
    const field = fields[line.resource]
    const unpriced = new Set<BilledResource>(sum.unpriced)
    if (line.sku === undefined) unpriced.add(line.resource)
    days.set(day, {
      dayMs: day,
      nanos: sum.nanos + line.nanos,
      quantities: { ...sum.quantities, [field]: sum.quantities[field] + line.quantity },
      unpriced: [...unpriced].sort(),
    })
  }
  return [...days.values()].sort((a, b) => a.dayMs - b.dayMs)
}

describe('charges by day', () => {
  it('are the sums of the lines, whatever cuts the hours', () => {
    fc.assert(
      fc.property(aLife, anInstant, fc.option(fc.tuple(fc.nat(150), fc.nat(150))), (life, now, hours) => {
        const interval = intervalOf(life)
        const nowMs = start + now
        const period = hours && {
          fromMs: start + hours[0] * hourMs,
          toMs: start + (hours[0] + hours[1]) * hourMs,
        }
        const options = { nowMs, ...(period && { period }) }
        expect(dayCharges(interval, turning, options)).toEqual(summed(interval, options))
      }),
      { numRuns: 300 },
    )
  })
})
