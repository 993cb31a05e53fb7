/** A bit that the disk turns in the ledger of a Spillway that runs: it is said, nothing new starts, and a backup is the way out. */
import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askAdmin, readAdmin } from '../../src/cli/admin-client.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { runSpillway } from '../support/run-spillway.ts'
import { TroubleViews } from '../support/trouble-views.ts'
import { turnABit } from '../support/turn-a-bit.ts'
import { until } from '../support/until.ts'

const ending = new AbortController()
const { signal } = ending
const namespace = 'shop'
const backends = [{ name: 'local', kind: 'simulator', options: { sandboxMs: 10, pullMs: 10, startMs: 10 } }]
const pools = [{ name: 'burst', backend: 'local', replicas: 1, priceBook: 'flat-demo' }]
let journey: JourneyApp
let views: TroubleViews
let backup: string

beforeAll(async () => {
  const more = { ledger: { checkSeconds: 5, fullCheckSeconds: 5 } }
  journey = await JourneyApp.start({ clusterName: 'damage', backends, pools, more }, signal)
  views = new TroubleViews(journey, namespace)
  backup = join(journey.folder, 'backup.db')
  await createNamespace(journey.api, { name: namespace }, signal)
})
afterAll(async () => {
  await journey?.[Symbol.asyncDispose]()
  ending.abort()
})

/** So many that the first event's page is full, and is not written again. */
const first = ['a', 'b', 'c', 'd', 'e', 'f']

test('while all is well the node says so, and so does the status', async () => {
  await until('the node says that the ledger is well', () => views.says('EveryClaimHolds'), signal)
  for (const name of first) await views.createOnNode(name)
  for (const name of first) await until(`${name} runs`, () => views.isRunning(name), signal)
  const made = await runSpillway('--config', journey.configFile, 'ledger', 'backup', backup)
  expect(made).toMatchObject({ code: 0 })
  const { ledger, spendPerHour } = await views.status()
  expect(ledger).toMatchObject({ status: 'True', checkedAtMs: expect.any(Number) })
  expect(spendPerHour).toHaveLength(1)
})

test('a bit that turns in an old event is found and named on the node, in an event and in the metrics', async () => {
  await turnABit(join(journey.folder, 'ledger.db'), (await views.pod('a'))?.metadata?.uid ?? '')
  await until('the node says that the ledger is damaged', () => views.says('LedgerCorrupt'), signal)
  expect((await views.condition())?.message).toMatch(
    /^the ledger contradicts itself .*: event \d \(INTENT of Pod [-0-9a-f]{36}\) was changed.*; nothing new starts/,
  )
  await until(
    'there is an event',
    async () => (await views.eventsOf('Node', 'burst-0')).includes('LedgerCorrupt'),
    signal,
  )
  let metrics = ''
  for await (const piece of readAdmin({ target: adminSocket() }, '/metrics', {}, signal)) metrics += piece
  expect(metrics).toMatch(/^spillway_ledger_damaged 1$/m)
  expect((await views.status()).ledger).toMatchObject({ status: 'False', reason: 'LedgerCorrupt' })
})

test('nothing new starts then, but what runs is stopped and deleted', async () => {
  await views.createOnNode('late')
  await until(
    'the Pod is told why',
    async () => (await views.eventsOf('Pod', 'late')).includes('LedgerCorrupt'),
    signal,
  )
  expect((await views.pod('late'))?.status?.phase).toBe('Pending')
  await views.delete('a')
  await until('it is gone', async () => (await views.pod('a')) === undefined, signal)
  expect(await views.isRunning('b')).toBe(true)
  expect(await journey.runs()).toBe(true)
})

test('a Spillway that begins with it says the same, and is no worse off', async () => {
  await journey.end()
  journey.begin()
  await until('the node says so again', () => views.says('LedgerCorrupt'), signal)
  expect((await views.pod('late'))?.status?.phase).toBe('Pending')
})

test('a backup in its place makes it well: what waited starts, and every claim holds', async () => {
  await journey.end()
  const aside = join(journey.folder, 'damaged')
  mkdirSync(aside)
  for (const name of readdirSync(journey.folder).filter((file) => file.startsWith('ledger.db'))) {
    renameSync(join(journey.folder, name), join(aside, name))
  }
  expect(await runSpillway('--config', journey.configFile, 'ledger', 'restore', backup)).toMatchObject({
    code: 0,
  })
  journey.begin()
  await until('the node says that the ledger is well', () => views.says('EveryClaimHolds'), signal)
  await until('the Pod that waited runs', () => views.isRunning('late'), signal)
  const verified = await askAdmin({ target: adminSocket() }, '/v1/ledger/verify', {}, signal)
  expect(verified).toMatchObject({ problems: [] })
})

function adminSocket(): string {
  return join(journey.folder, 'admin.sock')
}
