/** The clock of the machine is set while a Pod runs there: what the bill, the check and the seal say of it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SimulatorBackend } from '../../src/backends/simulator/backend.ts'
import { SimulatedWorld } from '../../src/backends/simulator/world.ts'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openMeter, type LedgerMeter } from '../../src/billing/meter.ts'
import { reconcile } from '../../src/billing/reconcile.ts'
import { sealPeriod } from '../../src/billing/seal-period.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { aPod, uidOf } from '../support/builders.ts'
import { FakeClock, fakeEpochMs as start } from '../support/fake-clock.ts'
import { openMemoryLedger } from '../support/memory-ledger.ts'
import { FakePodSources } from '../support/pod-sources.ts'
import { silentLog } from '../../src/telemetry/log.ts'

const never = new AbortController().signal
const hourMs = 3_600_000
const minuteMs = 60_000
const pod = aPod({ uid: '11111111-1111-4111-8111-111111111111', name: 'web' })
const uid = uidOf(pod)
const node = { pool: 'burst', node: 'burst-0', priceBook: 'flat-demo' }
let clock: FakeClock
let backend: SimulatorBackend
let ledger: LedgerStore
let meter: LedgerMeter

beforeEach(async () => {
  clock = new FakeClock()
  backend = new SimulatorBackend({ name: 'simulated', world: new SimulatedWorld({ clock }) })
  ledger = await openMemoryLedger()
  const options = { ledger, books: shippedPriceBooks, clusterUid: 'c1', clock, log: silentLog() }
  meter = await openMeter({ ...options, nodeFacts: () => node, backendsShareClock: true }, never)
})
afterEach(() => ledger.close())

const observed = async () => (await backend.list(never))[0]

/** As the Pod's worker does: each half minute, and when something happens. */
async function runs(ms: number): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= 30_000) {
    await clock.advance(Math.min(leftMs, 30_000))
    const seen = await observed()
    if (seen) await meter.record(pod, seen, never)
  }
}

async function begins(): Promise<void> {
  await meter.intent(pod, node, never)
  await backend.start(pod, new FakePodSources(), never)
}

async function ends(): Promise<void> {
  const seen = await observed()
  if (seen) await meter.stopping(seen, never)
  await backend.stop(uid, { graceSeconds: 0 }, never)
  await clock.advance(1_000)
  const stopped = await observed()
  expect(stopped?.phase).toBe('stopped')
  if (stopped) await meter.record(pod, stopped, never)
}

const interval = async () => (await ledger.history(uid, never)).intervals[0]

describe.each([
  ['back', -hourMs],
  ['ahead', hourMs],
])('an hour %s', (_direction, byMs) => {
  it('changes nothing of what is billed, to within a look, and no claim fails', async () => {
    await begins()
    await runs(10 * minuteMs)
    clock.stepWall(byMs)
    await runs(10 * minuteMs)
    await ends()
    const { startMs = 0, endMs = 0, confidence } = (await interval()) ?? {}
    const ranMs = endMs - startMs
    expect(ranMs).toBeGreaterThan(19.4 * minuteMs)
    expect(ranMs).toBeLessThanOrEqual(20 * minuteMs + 1_000)
    // What no clock of the backend's tells any more is not said to be exact.
    expect(confidence === 'exact').toBe(byMs > 0)
    const period = { fromMs: start - hourMs, toMs: start + 3 * hourMs }
    const { rows } = await bill(ledger, { ...period, by: 'namespace', nowMs: clock.wallMs() }, never)
    expect(rows).toMatchObject([{ open: false, coreSeconds: expect.any(String) }])
    expect((await verifyLedger(ledger, { nowMs: clock.wallMs() }, never)).problems).toEqual([])
    const list = await backend.list(never)
    expect(reconcile({ api: [], backend: list, open: await ledger.openIntervals(never) })).not.toContainEqual(
      expect.objectContaining({ case: 'billed, gone everywhere' }),
    )
  })

  it('seals no hour that the Pod has not come to yet, and then the same as without', async () => {
    await begins()
    await runs(10 * minuteMs)
    clock.stepWall(byMs)
    const toMs = start + hourMs
    await expect(sealPeriod(ledger, { toMs, nowMs: clock.wallMs() }, never)).rejects.toMatchObject({
      code: 'Rejected',
    })
    await runs(2 * hourMs)
    const seal = await sealPeriod(ledger, { toMs, nowMs: clock.wallMs() }, never)
    expect(seal.lines.count).toBeGreaterThan(0)
    await ends()
    expect((await verifyLedger(ledger, { nowMs: clock.wallMs() }, never)).problems).toEqual([])
    const { startMs = 0, endMs = 0 } = (await interval()) ?? {}
    expect(endMs - startMs).toBeGreaterThan(2 * hourMs + 9 * minuteMs)
    expect(endMs - startMs).toBeLessThanOrEqual(2 * hourMs + 10 * minuteMs + 1_000)
  })
})

it('a Pod that comes after the clock was set goes by it as it is, beside one that came before', async () => {
  clock.stepWall(hourMs)
  await begins()
  await runs(10 * minuteMs)
  await ends()
  const { startMs = 0, endMs = 0, confidence } = (await interval()) ?? {}
  expect(startMs).toBeGreaterThanOrEqual(start + hourMs)
  expect(endMs - startMs).toBeLessThanOrEqual(10 * minuteMs + 1_000)
  expect(confidence).toBe('exact')
})
