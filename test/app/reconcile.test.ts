import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { reconciler, reconcileTask } from '../../src/app/reconcile.ts'
import type { BackendStack } from '../../src/app/backend-stack.ts'
import type { House } from '../../src/app/house.ts'
import type { VirtualNodes } from '../../src/app/virtual-nodes.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openMeter, type LedgerMeter } from '../../src/billing/meter.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { aPod } from '../support/builders.ts'
import { FakeClock, fakeEpochMs as start } from '../support/fake-clock.ts'
import { until } from '../support/until.ts'
import { lifeOf, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
let folder: string
let ledger: LedgerStore
let meter: LedgerMeter
let clock: FakeClock
let ending: AbortController
let live: Pod | undefined
let listed: 'all' | 'not now'

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-reconcile-'))
  ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
  clock = new FakeClock()
  const nodeFacts = () => ({ pool: 'burst', node: 'burst-0', priceBook: 'flat-demo' })
  const options = { ledger, books: shippedPriceBooks, clusterUid: 'c1', clock, log: silentLog(), nodeFacts }
  meter = await openMeter(options, never)
  ending = new AbortController()
  live = undefined
  listed = 'all'
  const seen = { kind: 'OBSERVED', bucket: 7 } as const
  await ledger.append(
    [...lifeOf('p', { startMs: start - 9_000 }), testEvent('p', { atMs: start - 2_000, fact: seen })],
    never,
  )
})
afterEach(async () => {
  ending.abort()
  await ledger.close()
  await rm(folder, { recursive: true })
})

/** No Pod on any node, and a backend without any. */
function parts(): [House, BackendStack[], VirtualNodes] {
  const get = () =>
    live ? Promise.resolve(live) : Promise.reject(new SpillwayError('NotFound', 'no such Pod'))
  const list = () =>
    listed === 'all' ? Promise.resolve([]) : Promise.reject(new SpillwayError('Unavailable', 'down'))
  const world = { clock, log: silentLog(), random: () => 0.5, environment: {} }
  const house = { world, ledger, meter, cluster: { api: { get } } } as unknown as House
  const stack = { backend: { list }, pods: { podsOn: () => [] } } as unknown as BackendStack
  return [house, [stack], { names: ['burst-0'] } as unknown as VirtualNodes]
}

async function sweeps(count: number): Promise<void> {
  for (let sweep = 0; sweep < count; sweep += 1) {
    await until('it sleeps', () => Promise.resolve(clock.pending > 0), never)
    await clock.advance(30_000)
  }
  await until('it sleeps again', () => Promise.resolve(clock.pending > 0), never)
}

const end = async () => (await ledger.history(asPodUid('p'), never)).intervals[0]

it('what is billed and known to nobody is closed where it was last seen, at the second sweep', async () => {
  void reconcileTask(...parts())(ending.signal)
  await sweeps(1)
  expect(await end()).toMatchObject({ endMs: undefined })
  await sweeps(1)
  expect(await end()).toMatchObject({ endMs: start - 2_000, confidence: 'estimated' })
})

it('not so while the API server has it after all', async () => {
  live = aPod({ uid: 'p', name: 'p' })
  void reconcileTask(...parts())(ending.signal)
  await sweeps(3)
  expect(await end()).toMatchObject({ endMs: undefined })
})

it('nor while a backend does not answer', async () => {
  listed = 'not now'
  void reconcileTask(...parts())(ending.signal)
  await sweeps(3)
  expect(await end()).toMatchObject({ endMs: undefined })
})

it('whoever asks is told after a second look', async () => {
  const asked = reconciler(...parts())(never)
  await until('it waits', () => Promise.resolve(clock.pending > 0), never)
  await clock.advance(2_000)
  expect(await asked).toMatchObject([{ podUid: 'p', case: 'billed, gone everywhere', agrees: false }])
})
