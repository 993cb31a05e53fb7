import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { LedgerStore } from '../../../src/billing/ledger.ts'
import { openMeter, type LedgerMeter } from '../../../src/billing/meter.ts'
import { hourMs } from '../../../src/billing/charges.ts'
import { flatDemo } from '../../../src/billing/price-books/flat-demo.ts'
import { sealPeriod } from '../../../src/billing/seal-period.ts'
import { shippedPriceBooks } from '../../../src/billing/shipped-price-books.ts'
import { backUpLedger, restoreLedger } from '../../../src/billing/store/ledger-backup.ts'
import { verifyLedger } from '../../../src/billing/verify.ts'
import { parseLedgerPlace } from '../../../src/config/ledger.ts'
import type { Pod } from '../../../src/model/kubernetes.ts'
import { asPodUid } from '../../../src/model/pod-key.ts'
import type { ContainerRunState, PodObservation } from '../../../src/model/pod-observation.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock, fakeEpochMs } from '../../support/fake-clock.ts'
import { euroBook, octoberMs } from '../../support/late-histories.ts'
import { openLedger } from '../../support/open-ledger.ts'
import { startPostgres, type PostgresServer } from '../../support/postgres-server.ts'
import { until } from '../../support/until.ts'
import { lifeOf, testEvent } from '../../support/usage-events.ts'

const never = new AbortController().signal
const page = { afterSeq: 0, limit: 100_000 }
const life = (pod: string) => lifeOf(pod, { startMs: fakeEpochMs, endMs: fakeEpochMs + 1000 })
const ever = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }
const options = { environment: {}, nowMs: fakeEpochMs }

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
}, 60_000)
afterAll(async () => {
  await server.destroy()
})

let folder: string
let file: string
let copy: string
let schemas = 0
let url: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-backup-'))
  file = join(folder, 'ledger.db')
  copy = join(folder, 'copy.db')
  schemas += 1
  url = server.ledgerUrl(`backup_${schemas}`)
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

async function write(place: string, ...pods: readonly string[]): Promise<void> {
  const ledger = await openLedger(place)
  await ledger.keepPriceBooks(shippedPriceBooks, never)
  for (const pod of pods) await ledger.append(life(pod), never)
  await ledger.close()
}

/** A sandbox, a seal over its hour, what became known too late and so makes a correction, and one that runs. */
async function writeSealed(place: string): Promise<void> {
  const ledger = await openLedger(place)
  await ledger.keepPriceBooks([euroBook], never)
  const lasts = { startMs: octoberMs, priceBook: euroBook.id }
  await ledger.append(lifeOf('billed', { ...lasts, endMs: octoberMs + 1000 }), never)
  const toMs = octoberMs + hourMs
  await sealPeriod(ledger, { toMs, nowMs: toMs + hourMs, acceptUncertain: true }, never)
  await ledger.append(lifeOf('late', { ...lasts, endMs: octoberMs + 2000 }), never)
  await ledger.append(lifeOf('open', { ...lasts, startMs: toMs }), never)
  await ledger.append([seenOf('open', toMs + 30_000), seenOf('unheard of', toMs)], never)
  await ledger.close()
}

function seenOf(pod: string, atMs: number) {
  return testEvent(pod, { atMs, fact: { kind: 'OBSERVED', bucket: atMs } })
}

async function read(place: string) {
  const ledger = await openLedger(place, { readOnly: true })
  try {
    return {
      events: await ledger.events(page, never),
      books: await ledger.priceBooks(never),
      intervals: await ledger.intervals(ever, never),
      seals: await ledger.seals(never),
      adjustments: await ledger.adjustments(ever, never),
      totals: await ledger.keptTotals(never),
      unheardOf: (await ledger.history(asPodUid('unheard of'), never)).ignored,
    }
  } finally {
    await ledger.close()
  }
}

const backUp = (place: string, to: string) => backUpLedger(parseLedgerPlace(place), to, options, never)
const restore = (from: string, place: string) => restoreLedger(from, parseLedgerPlace(place), options, never)

describe('a backup of the ledger', { timeout: 60_000 }, () => {
  it('is one file with all that was acknowledged, made while another process goes on writing', async () => {
    const script = join(import.meta.dirname, '../../support/append-events.ts')
    const child = spawn('node', [script, file], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(child, 'exit')
    const told: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => told.push(line))
    try {
      await until('it writes', () => Promise.resolve(told.length > 20), never)
      const before = [...told]
      const report = await backUp(file, copy)
      await until('it goes on', () => Promise.resolve(told.length > before.length + 20), never)
      expect(report.problems).toEqual([])
      const ids = new Set((await read(copy)).events.map(({ event }) => event.id))
      expect(before.filter((id) => !ids.has(id))).toEqual([])
      expect(ids.size).toBe(report.events)
    } finally {
      child.kill('SIGKILL')
      await exited
    }
    expect((await readdir(folder)).filter((name) => name.startsWith('copy'))).toEqual(['copy.db'])
  })

  it('never takes the place of a file', async () => {
    await write(file, 'a')
    await writeFile(copy, 'precious')
    await expect(backUp(file, copy)).rejects.toMatchObject({
      code: 'Rejected',
      message: expect.stringContaining('copy.db is there already'),
    })
  })

  it('is not made of a ledger that contradicts itself', async () => {
    await write(file, 'a')
    forge(file)
    const report = await backUp(file, copy)
    expect(report.problems[0]?.claim).toContain('chained by hash')
    expect((await readdir(folder)).filter((name) => name.startsWith('copy'))).toEqual([])
  })
})

function forge(place: string): void {
  const database = new DatabaseSync(place)
  database.exec("drop trigger event_no_update; update event set at_ms = at_ms - 1000 where kind = 'OPENED'")
  database.close()
}

describe('a restored ledger', { timeout: 60_000 }, () => {
  it.each(['SQLite to SQLite', 'SQLite to PostgreSQL', 'PostgreSQL to SQLite'])(
    'is the one that was backed up, and is written on: %s',
    async (kinds) => {
      const [from, to] = kinds.split(' to ')
      const source = from === 'SQLite' ? file : url
      const target = to === 'SQLite' ? join(folder, 'restored.db') : server.ledgerUrl(`restored_${schemas}`)
      await writeSealed(source)
      const original = await read(source)
      expect(original).toMatchObject({
        seals: [{ number: 1 }],
        adjustments: [{ corrects: { causedBy: expect.anything() } }],
        intervals: expect.arrayContaining([
          expect.objectContaining({ podUid: 'open', observedUntilMs: octoberMs + hourMs + 30_000 }),
        ]),
        unheardOf: [{ id: seenOf('unheard of', octoberMs + hourMs).id }],
      })
      const { length: events } = original.events
      const same = { events, problems: [], headHash: original.events.at(-1)?.hash }
      expect(await backUp(source, copy)).toMatchObject(same)
      expect(await restore(copy, target)).toMatchObject(same)
      expect(await read(target)).toEqual(original)
      await write(target, 'c')
      const ledger = await openLedger(target, { readOnly: true })
      expect(await verifyLedger(ledger, { nowMs: fakeEpochMs }, never)).toMatchObject({
        // What it was told of falls into the sealed period: one more that corrects it.
        events: events + 4,
        problems: [],
      })
      await ledger.close()
    },
  )

  it('never takes the place of another', async () => {
    await write(file, 'a')
    await backUp(file, copy)
    await expect(restore(copy, file)).rejects.toMatchObject({ code: 'Rejected' })
    await write(url, 'b')
    await expect(restore(copy, url)).rejects.toMatchObject({ code: 'Rejected' })
    expect((await read(url)).events).toHaveLength(3)
    // Left by a ledger that was moved away without it: SQLite would read it into the new one.
    const target = join(folder, 'restored.db')
    await writeFile(`${target}-wal`, '')
    await expect(restore(copy, target)).rejects.toMatchObject({
      code: 'Rejected',
      message: expect.stringContaining('restored.db-wal is there already'),
    })
  })

  it('is not put in place when a claim about it does not hold', async () => {
    await write(file, 'a')
    await backUp(file, copy)
    forge(copy)
    const target = join(folder, 'restored.db')
    for (const place of [target, url]) {
      const report = await restore(copy, place)
      expect(report.problems[0]?.claim).toContain('chained by hash')
    }
    expect((await readdir(folder)).filter((name) => name.startsWith('restored'))).toEqual([])
    await expect(read(url)).rejects.toMatchObject({ code: 'LedgerUnavailable' })
  })

  it('of yesterday learns by itself what the backend still knows', async () => {
    const clock = new FakeClock()
    const feed = async (ledger: LedgerStore, ...seen: readonly PodObservation[]): Promise<void> => {
      const meter = await meterOf(ledger, clock)
      for (const observed of seen) await meter.record(podOf(observed.uid), observed, never)
    }
    const original = await openLedger(file)
    await feed(original, observe('runs', 0), observe('ends', 10), observe('gone', 20))
    await backUp(file, copy)
    await clock.advance(3_600_000)
    // What has happened since: one has ended, two have come, one of those has ended.
    const now = [
      observe('runs', 0),
      observe('ends', 10, 900_000),
      observe('came', 700_000),
      observe('came and went', 800_000, 950_000),
    ]
    await feed(original, ...now)
    const restored = join(folder, 'restored.db')
    await restore(copy, restored)
    const ledger = await openLedger(restored)
    await feed(ledger, ...now)
    for (const { uid } of now) {
      const { intervals } = await original.history(uid, never)
      expect(intervals).toHaveLength(1)
      const again = (await ledger.history(uid, never)).intervals
      expect(again.map(billed)).toEqual(intervals.map(billed))
    }
    // Of this one the backend knows nothing more: it ends, as an estimate, when it was last seen.
    const meter = await meterOf(ledger, clock)
    await meter.closeLost(asPodUid('gone'), never)
    expect((await ledger.history(asPodUid('gone'), never)).intervals).toMatchObject([
      { confidence: 'estimated' },
    ])
    expect((await verifyLedger(ledger, { nowMs: clock.wallMs() }, never)).problems).toEqual([])
    await Promise.all([original.close(), ledger.close()])
  })
})

type Interval = Awaited<ReturnType<LedgerStore['intervals']>>[number]

const billed = ({ podUid, startMs, endMs, confidence, segments }: Interval) => ({
  podUid,
  startMs,
  endMs,
  confidence,
  segments,
})

async function meterOf(ledger: LedgerStore, clock: FakeClock): Promise<LedgerMeter> {
  return await openMeter(
    {
      ledger,
      books: [flatDemo],
      clusterUid: 'cluster-1',
      clock,
      log: silentLog(),
      nodeFacts: () => ({ pool: 'burst', node: 'burst-0', priceBook: flatDemo.id }),
    },
    never,
  )
}

function podOf(uid: string): Pod {
  return {
    metadata: { name: uid, namespace: 'shop', uid },
    spec: { containers: [{ name: 'web', resources: { requests: { cpu: '1', memory: '2Gi' } } }] },
  }
}

/** As the backend lists it: times are from the epoch of the tests. */
function observe(name: string, createdMs: number, finishedMs?: number): PodObservation {
  const startedAtMs = fakeEpochMs + createdMs
  const state: ContainerRunState =
    finishedMs === undefined
      ? { kind: 'running', startedAtMs }
      : {
          kind: 'terminated',
          exitCode: 0,
          reason: 'Completed',
          startedAtMs,
          finishedAtMs: fakeEpochMs + finishedMs,
        }
  return {
    uid: asPodUid(name),
    namespace: 'shop',
    name,
    nodeName: 'burst-0',
    incarnation: 0,
    supervised: true,
    generation: 1,
    phase: finishedMs === undefined ? 'running' : 'stopped',
    sandbox: { id: `${name}-0`, createdAtMs: startedAtMs, ready: finishedMs === undefined, podIps: [] },
    containers: [
      { name: 'web', kind: 'main', image: 'web:1', state, restartCount: 0, started: true, ready: true },
    ],
  }
}
