import * as fc from 'fast-check'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { hourMs } from '../../src/billing/charges.ts'
import { dayMs } from '../../src/billing/day-charges.ts'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { encodeJson } from '../../src/billing/ledger-json.ts'
import { sealPeriod } from '../../src/billing/seal-period.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { nanoScale, parseDecimal, roundRational } from '../../src/model/money.ts'
import {
  addQuantities,
  noQuantities,
  type Quantities,
  type UsageEvent,
  type UsageFact,
} from '../../src/model/usage.ts'
import { lateBooks, octoberMs, someEvents } from '../support/late-histories.ts'
import { openMemoryLedger } from '../support/memory-ledger.ts'
import { closedFact, intentFact, lifeOf, openedFact, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const endMs = octoberMs + 3 * dayMs
const nowMs = octoberMs + 12 * dayMs
const ever = { fromMs: 0, toMs: nowMs + dayMs }

/** All that was ever billed, by currency: lines and adjustments, and what was used. */
async function allOf(
  ledger: LedgerStore,
): Promise<Record<string, { nanos: bigint; quantities: Quantities }>> {
  const sums: Record<string, { nanos: bigint; quantities: Quantities }> = {}
  const add = (currency: string, nanos: bigint, quantities: Quantities): void => {
    const sum = sums[currency] ?? { nanos: 0n, quantities: noQuantities }
    sums[currency] = { nanos: sum.nanos + nanos, quantities: addQuantities(sum.quantities, quantities) }
  }
  for (const total of await ledger.totals({ period: ever, by: [], nowMs }, never)) {
    if (total.currency !== '') add(total.currency, total.nanos, total.quantities)
  }
  for (const { amount, currency, corrects } of await ledger.adjustments(ever, never)) {
    const nanos = roundRational(parseDecimal(amount), nanoScale, 'half_even')
    add(currency, nanos, corrects?.quantities ?? noQuantities)
  }
  for (const [currency, { nanos, quantities }] of Object.entries(sums)) {
    if (nanos === 0n && encodeJson(quantities) === encodeJson(noQuantities)) delete sums[currency]
  }
  return sums
}

async function printed(ledger: LedgerStore, toMs: number, askedMs: number): Promise<string> {
  const views = [['namespace'], ['pod'], ['day', 'pool'], ['workload']] as const
  const bills = views.map((by) =>
    bill(ledger, { fromMs: 0, toMs, by: [...by], nowMs: askedMs, explain: by[0] === 'pod' }, never),
  )
  return JSON.stringify(await Promise.all(bills))
}

async function projections(ledger: LedgerStore): Promise<string> {
  const pods = await ledger.pods({ afterPodUid: '', limit: 100 }, never)
  return encodeJson([
    pods.map(({ accounts }) => accounts),
    await ledger.adjustments(ever, never),
    (await ledger.keptTotals(never)).map((total) => encodeJson(total)).sort(),
  ])
}

describe('sealed periods', () => {
  it('never change, and with what corrects them come to what an unsealed ledger says', async () => {
    await fc.assert(
      fc.asyncProperty(
        someEvents,
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 70 })), {
          maxLength: 3,
        }),
        async (events, batch, pauses) => {
          const sealed = await openMemoryLedger()
          const unsealed = await openMemoryLedger()
          await Promise.all([sealed, unsealed].map((ledger) => ledger.keepPriceBooks(lateBooks, never)))
          await unsealed.append(events, never)
          const kept = new Map<number, string>()
          let untilMs = octoberMs
          for (let at = 0; at <= events.length; at += batch) {
            const pause = pauses.find(([after]) => Math.floor(after / batch) * batch === at)
            if (pause) {
              untilMs += pause[1] * hourMs
              await sealPeriod(
                sealed,
                { fromMs: 0, toMs: untilMs, nowMs, acceptUncertain: true },
                never,
              ).catch(async () => sealPeriod(sealed, { toMs: untilMs, nowMs, acceptUncertain: true }, never))
              kept.set(untilMs, await printed(sealed, untilMs, untilMs))
            }
            const part = events.slice(at, at + batch)
            await sealed.append(part, never)
            // As a restart does: nothing comes of it.
            await sealed.append(part, never)
          }
          expect(await allOf(sealed)).toEqual(await allOf(unsealed))
          for (const [toMs, text] of kept) expect(await printed(sealed, toMs, nowMs)).toBe(text)
          const before = await projections(sealed)
          await sealed.rebuild(never)
          expect(await projections(sealed)).toBe(before)
          expect((await verifyLedger(sealed, { nowMs }, never)).problems).toEqual([])
          await Promise.all([sealed.close(), unsealed.close()])
        },
      ),
      { numRuns: Number(process.env['SPILLWAY_PROPERTY_RUNS'] ?? 40) },
    )
  }, 120_000)
})

describe('a period', () => {
  let ledger: LedgerStore
  beforeEach(async () => {
    ledger = await openMemoryLedger()
    await ledger.keepPriceBooks(lateBooks, never)
    const startMs = octoberMs + hourMs
    await ledger.append(lifeOf('done', { startMs, endMs: startMs + hourMs, priceBook: 'euro' }), never)
    return () => ledger.close()
  })
  const seal = (
    request: { toMs?: number; fromMs?: number; nowMs?: number; acceptUncertain?: boolean } = {},
  ) => sealPeriod(ledger, { toMs: endMs, nowMs, ...request }, never)
  const rejection = (message: string) => ({ code: 'Rejected', message: expect.stringContaining(message) })

  it('is sealed from the month in which it all began, with its sums and the head of the log', async () => {
    expect(await seal()).toMatchObject({
      number: 1,
      period: { fromMs: Date.UTC(2026, 9, 1), toMs: endMs },
      lines: { count: 2 },
      sums: [{ currency: 'EUR', lines: 32_839_200n, adjustments: 0n, total: 32_839_200n }],
      head: await ledger.head(never),
      accepted: [],
    })
  })

  it('has to be over, to end with an hour, and to follow what is sealed', async () => {
    await expect(seal({ nowMs: endMs - 1 })).rejects.toMatchObject(rejection('not over yet'))
    await expect(seal({ toMs: endMs + 1 })).rejects.toMatchObject(rejection('not the end of a UTC hour'))
    await expect(seal({ fromMs: octoberMs + dayMs })).rejects.toMatchObject(rejection('comes first'))
    await seal()
    await expect(seal()).rejects.toMatchObject(rejection('is sealed already'))
    await expect(seal({ fromMs: endMs - hourMs, toMs: endMs + hourMs })).rejects.toMatchObject(
      rejection('is sealed already'),
    )
    await expect(seal({ toMs: endMs + hourMs })).resolves.toMatchObject({ number: 2, lines: { count: 0 } })
  })

  it('is not sealed while a Pod was last seen before its end, and then with it cut there', async () => {
    await ledger.append(lifeOf('runs', { startMs: endMs - hourMs, priceBook: 'euro' }), never)
    await expect(seal()).rejects.toMatchObject(rejection('Pod runs: last seen at'))
    const seen = { kind: 'OBSERVED', bucket: 1 } as const
    await ledger.append([testEvent('runs', { atMs: endMs, fact: seen })], never)
    expect((await seal()).lines.count).toBe(4)
  })

  it('is not sealed on an estimate, a start or a resize without an outcome, unless that is accepted', async () => {
    const guessed = lifeOf('guessed', { startMs: endMs - hourMs, priceBook: 'euro' })
    guessed.push(testEvent('guessed', { atMs: endMs - 5000, fact: closedFact('estimated') }))
    const [intent] = lifeOf('asked', { startMs: endMs - 5000, priceBook: 'euro' })
    await ledger.append(guessed, never)
    await ledger.append(intent ? [intent] : [], never)
    await expect(seal()).rejects.toMatchObject(rejection('Pod guessed: its end at'))
    await expect(seal()).rejects.toMatchObject(rejection('Pod asked: its start at'))
    const { accepted } = await seal({ acceptUncertain: true })
    expect(accepted).toHaveLength(2)
  })

  const opened = (name: string) => lifeOf(name, { startMs: endMs - hourMs, priceBook: 'euro' })
  const after = (name: string, fact: UsageFact, incarnation = 0) =>
    testEvent(name, { atMs: endMs + 5000, incarnation, fact })
  it.each<[string, readonly UsageEvent[], readonly UsageEvent[]]>([
    ['a next sandbox', opened('b'), [after('b', openedFact('next'), 1)]],
    [
      'a better end',
      [...opened('b'), testEvent('b', { atMs: endMs - 5000, fact: closedFact('estimated') })],
      [after('b', closedFact('exact'))],
    ],
    ['a size', opened('b').slice(1), [after('b', intentFact('b', undefined, 'euro'))]],
  ])('is read again when %s from after its end changes it meanwhile', async (_what, before, meanwhile) => {
    await ledger.append(before, never)
    const sealNow = ledger.seal.bind(ledger)
    const drafts = vi.spyOn(ledger, 'seal').mockImplementationOnce(async (draft, signal) => {
      await ledger.append(meanwhile, never)
      return await sealNow(draft, signal)
    })
    await seal({ acceptUncertain: true })
    expect(drafts).toHaveBeenCalledTimes(2)
    expect((await verifyLedger(ledger, { nowMs }, never)).problems).toEqual([])
  })

  it('is not read again for what changes nothing before its end', async () => {
    await ledger.append([...opened('b'), ...opened('c')], never)
    const { seq: readUpToSeq } = await ledger.head(never)
    const draft = { ...(await seal({ toMs: endMs - hourMs })), readUpToSeq }
    await ledger.append([after('b', closedFact('exact')), after('c', { kind: 'OBSERVED', bucket: 1 })], never)
    const period = { fromMs: endMs - hourMs, toMs: endMs }
    await expect(ledger.seal({ ...draft, period }, never)).resolves.toMatchObject({ number: 2 })
  })

  it('is corrected by what comes too late, in the open period, once, to the nano-unit', async () => {
    const guessed = lifeOf('guessed', { startMs: endMs - hourMs, priceBook: 'euro' })
    guessed.push(testEvent('guessed', { atMs: endMs - 3_000_000, fact: closedFact('estimated') }))
    await ledger.append(guessed, never)
    await seal({ acceptUncertain: true })
    const late = testEvent('guessed', { atMs: endMs - 2_000_000, fact: closedFact('exact') })
    await ledger.append([late], never)
    await ledger.append([late], never)
    // 1000 s of one core and two GiB.
    expect(await ledger.adjustments(ever, never)).toMatchObject([
      {
        podUid: 'guessed',
        atMs: endMs,
        amount: '0.009122',
        currency: 'EUR',
        about: { namespace: 'default', pod: 'guessed' },
        corrects: { toMs: endMs, causedBy: late.id, quantities: { cpuMilliMs: 1_000_000_000n } },
      },
    ])
  })
})
