import { beforeEach, describe, expect, it } from 'vitest'
import { adjust, type AdjustRequest } from '../../src/billing/adjust.ts'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { sealPeriod } from '../../src/billing/seal-period.ts'
import { lateBooks, octoberMs } from '../support/late-histories.ts'
import { openMemoryLedger } from '../support/memory-ledger.ts'
import { lifeOf } from '../support/usage-events.ts'

const never = new AbortController().signal
const hour = 3_600_000
const nowMs = octoberMs + 48 * hour

describe('an adjustment', () => {
  let ledger: LedgerStore
  beforeEach(async () => {
    ledger = await openMemoryLedger()
    await ledger.keepPriceBooks(lateBooks, never)
    await ledger.append(
      lifeOf('web', { startMs: octoberMs, endMs: octoberMs + hour, priceBook: 'euro' }),
      never,
    )
    return () => ledger.close()
  })
  const make = (request: Partial<AdjustRequest> = {}) =>
    adjust(
      ledger,
      { pod: 'web', amount: '-0.5', reason: 'its node was slow', author: 'ann', nowMs, ...request },
      never,
    )

  it('is in the currency of its Pod, and a row of its own in the bill', async () => {
    expect(await make()).toMatchObject({ outcome: 'appended', adjustment: { currency: 'EUR', atMs: nowMs } })
    const { rows, totals } = await bill(
      ledger,
      { fromMs: octoberMs, toMs: nowMs + hour, by: 'namespace', nowMs },
      never,
    )
    expect(rows).toMatchObject([
      { namespace: 'default', amount: '0.0328392' },
      { namespace: 'default', correction: 'its node was slow', amount: '-0.5' },
    ])
    expect(totals).toEqual([{ currency: 'EUR', amount: '-0.4671608' }])
  })

  it('counts once, however often and whenever it is made', async () => {
    const { adjustment } = await make()
    expect(await make({ nowMs: nowMs + hour })).toEqual({ outcome: 'known', adjustment })
    expect(await make({ id: 'second' })).toMatchObject({ outcome: 'appended' })
    await expect(make({ id: 'second', amount: '-0.6' })).rejects.toMatchObject({
      code: 'Rejected',
      message: expect.stringContaining('"second" already, of -0.5 EUR by ann'),
    })
  })

  it('may be of a namespace, in a currency that is stated when there are several', async () => {
    const whole = { namespace: 'shop' }
    const { pod: _pod, ...rest } = { pod: '', amount: '3', reason: 'support', author: 'ann', nowMs, ...whole }
    await expect(adjust(ledger, rest, never)).rejects.toMatchObject({
      code: 'Usage',
      message: "--currency: missing; the ledger's price books have EUR, USD",
    })
    expect(await adjust(ledger, { ...rest, currency: 'USD' }, never)).toMatchObject({
      adjustment: { about: { namespace: 'shop', pod: '' }, currency: 'USD' },
    })
  })

  it.each<[string, Partial<AdjustRequest>]>([
    ['--amount: found "1e3"', { amount: '1e3' }],
    ['--amount: found "0.00"', { amount: '0.00' }],
    ['--amount: found "0.0000000001"', { amount: '0.0000000001' }],
    ['--currency: found "usd"', { currency: 'usd' }],
    ['--reason: found " "', { reason: ' ' }],
    ['--author: found ""', { author: '' }],
    ['--pod, --namespace', { namespace: 'shop' }],
    ['--pod: found "nobody"', { pod: 'nobody' }],
  ])('is refused with the field named: %s', async (message, request) => {
    await expect(make(request)).rejects.toMatchObject({
      code: 'Usage',
      message: expect.stringContaining(message),
    })
  })

  it('is never dated in a sealed period', async () => {
    await sealPeriod(ledger, { toMs: nowMs, nowMs }, never)
    await expect(make({ atMs: nowMs - 1 })).rejects.toThrow('what is before it is sealed')
    expect(await make()).toMatchObject({ adjustment: { atMs: nowMs } })
  })
})
