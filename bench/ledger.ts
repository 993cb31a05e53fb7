/**
 * A ledger of a million intervals on SQLite: how many events a second it takes durably, what a month's bill by namespace
 * takes, what sealing, verifying and rebuilding take, and what memory. Builds the million itself. `npm run bench:ledger`.
 * Exit code 3 when a target is missed.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bill } from '../src/billing/invoice.ts'
import type { LedgerStore } from '../src/billing/ledger.ts'
import { flatDemo } from '../src/billing/price-books/flat-demo.ts'
import { sealPeriod } from '../src/billing/seal-period.ts'
import { openSqliteLedger } from '../src/billing/store/sqlite.ts'
import { verifyLedger } from '../src/billing/verify.ts'
import { formatTable } from '../src/cli/table.ts'
import { asPodUid } from '../src/model/pod-key.ts'
import { usageEvent, type UsageEvent, type UsageFact } from '../src/model/usage.ts'

const { values: flags } = parseArgs({
  options: {
    intervals: { type: 'string', default: '1000000' },
    /** Of them, so many are told step by step, as a running Spillway does. */
    stepwise: { type: 'string', default: '20000' },
    /** Seal, verify and rebuild as well, which takes minutes. */
    all: { type: 'boolean', default: false },
  },
})
const intervalCount = Number(flags.intervals)
const stepwiseCount = Math.min(Number(flags.stepwise), intervalCount)
const targets = { eventsPerSecond: 2000, billMs: 2000 }
const never = new AbortController().signal
const monthMs = Date.UTC(2026, 9, 1)
const endMs = Date.UTC(2026, 10, 1)
const nowMs = endMs + 3_600_000
const callers = 200
const livesPerAppend = 400

/** Mulberry32: the same lives each time. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Jobs of seconds, tasks of minutes, services of hours and days, and a few that run for good. */
function lastsMs(random: () => number): number | undefined {
  const kind = random()
  if (kind < 0.55) return 2_000 + random() * 120_000
  if (kind < 0.85) return 60_000 + random() * 3_600_000
  if (kind < 0.97) return 3_600_000 + random() * 20 * 3_600_000
  if (kind < 0.998) return 24 * 3_600_000 * (1 + random() * 6)
  return undefined
}

const random = randomFrom(7)

function lifeOf(index: number): UsageEvent[] {
  const hex = Math.floor(random() * 0xffff_ffff)
    .toString(16)
    .padStart(8, '0')
  const podUid = asPodUid(`${hex}-7b1e-4c55-9a3d-${index.toString(16).padStart(12, '0')}`)
  const namespace = `team-${Math.floor(random() ** 2 * 40)}`
  const workload = `work-${Math.floor(random() * 200)}`
  const startMs = monthMs + Math.floor((index / intervalCount) * (endMs - monthMs))
  const lasts = lastsMs(random)
  const spec = {
    cpuMillis: BigInt(250 * (1 + Math.floor(random() * 16))),
    memoryMiB: BigInt(512 * (1 + Math.floor(random() * 16))),
    gpus: 0n,
  }
  const name = `${workload}-${index}`
  const pod = {
    clusterUid: 'bench',
    uid: podUid,
    namespace,
    name,
    workload: { kind: 'Deployment', name: workload },
    pool: `pool-${Math.floor(random() * 3)}`,
    node: 'pool-0',
    labels: { app: workload, team: namespace },
  }
  const event = (atMs: number, fact: UsageFact): UsageEvent =>
    usageEvent({
      clusterUid: 'bench',
      podUid,
      incarnation: 0,
      atMs,
      observedMs: atMs,
      source: 'backend',
      fact,
    })
  const terms = {
    priceBook: flatDemo.id,
    spec,
    demand: spec,
    steps: ["the Pod's requests, as the scheduler counts them"],
  }
  const closesMs = lasts === undefined ? undefined : startMs + Math.floor(lasts)
  return [
    event(startMs - 50, { kind: 'INTENT', pod, terms, generation: 1 }),
    event(startMs, { kind: 'OPENED', sandboxId: hex, pod: { namespace, name, node: 'pool-0' } }),
    ...(closesMs === undefined || closesMs > nowMs
      ? [event(nowMs - 1000, { kind: 'OBSERVED', bucket: 1 })]
      : [event(closesMs, { kind: 'CLOSED', confidence: 'exact', reason: 'its last container ended' })]),
  ]
}

const rows: { what: string; found: string; target: string; ok: boolean | undefined }[] = []
const say = (what: string, found: string, target = '', ok?: boolean): void => {
  rows.push({ what, found, target, ok })
  process.stderr.write(`${what}: ${found}\n`)
}
const rss = (): string => `${Math.round(process.memoryUsage.rss() / 1_048_576)} MB`

/** Many Pods at once, each telling one thing after the other, and waiting until that is durable. */
async function tellStepwise(ledger: LedgerStore, lives: readonly (readonly UsageEvent[])[]): Promise<void> {
  let next = 0
  const caller = async (): Promise<void> => {
    for (let index = next++; index < lives.length; index = next++) {
      for (const event of lives[index] ?? []) await ledger.append([event], never)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const began = performance.now()
  const value = await work()
  return { ms: performance.now() - began, value }
}

async function build(ledger: LedgerStore): Promise<void> {
  await ledger.keepPriceBooks([flatDemo], never)
  const first = Array.from({ length: stepwiseCount }, (_, index) => lifeOf(index))
  const events = first.reduce((sum, life) => sum + life.length, 0)
  const { ms } = await timed(() => tellStepwise(ledger, first))
  const rate = Math.round((events / ms) * 1000)
  say(
    `events a second, durable, ${callers} Pods at once, empty ledger`,
    String(rate),
    `≥ ${targets.eventsPerSecond}`,
    rate >= targets.eventsPerSecond,
  )
  const began = performance.now()
  let told = 0
  for (let index = stepwiseCount; index < intervalCount;) {
    const batch: UsageEvent[] = []
    for (; batch.length < livesPerAppend * 3 && index < intervalCount; index += 1)
      batch.push(...lifeOf(index))
    await ledger.append(batch, never)
    told += batch.length
    if (Math.floor(index / 250_000) !== Math.floor((index - livesPerAppend) / 250_000)) {
      say(`memory with ${index} intervals`, rss())
    }
  }
  if (told > 0)
    say('events a second, in bulk', String(Math.round((told / (performance.now() - began)) * 1000)))
  const last = Array.from({ length: stepwiseCount }, (_, index) => lifeOf(intervalCount + index))
  const lastEvents = last.reduce((sum, life) => sum + life.length, 0)
  const full = await timed(() => tellStepwise(ledger, last))
  const fullRate = Math.round((lastEvents / full.ms) * 1000)
  say(
    `events a second, durable, ${callers} Pods at once, full ledger`,
    String(fullRate),
    `≥ ${targets.eventsPerSecond}`,
    fullRate >= targets.eventsPerSecond,
  )
}

async function measure(ledger: LedgerStore): Promise<void> {
  const query = { fromMs: monthMs, toMs: endMs, nowMs }
  const first = await timed(() => bill(ledger, { ...query, by: 'namespace' }, never))
  say(
    'month bill by namespace, first',
    `${Math.round(first.ms)} ms`,
    `≤ ${targets.billMs} ms`,
    first.ms <= targets.billMs,
  )
  say(
    'of it, rows and Pods',
    `${first.value.rows.length}, ${first.value.rows.reduce((sum, { pods }) => sum + pods, 0)}`,
  )
  const again = await timed(() => bill(ledger, { ...query, by: 'namespace' }, never))
  say(
    'month bill by namespace, again',
    `${Math.round(again.ms)} ms`,
    `≤ ${targets.billMs} ms`,
    again.ms <= targets.billMs,
  )
  const daily = await timed(() => bill(ledger, { ...query, by: ['day', 'pool'] }, never))
  say('month bill by day and pool', `${Math.round(daily.ms)} ms`)
  const toNow = await timed(() =>
    bill(ledger, { ...query, toMs: endMs - 40_000_000, by: 'namespace' }, never),
  )
  say('the same up to the middle of a day', `${Math.round(toNow.ms)} ms`)
  say('memory after the bills', rss())
}

async function measureAll(ledger: LedgerStore): Promise<void> {
  const sealed = await timed(() => sealPeriod(ledger, { fromMs: monthMs, toMs: endMs, nowMs }, never))
  say('sealing the month', `${Math.round(sealed.ms / 1000)} s`)
  say('of it, lines', String(sealed.value.lines.count))
  const verified = await timed(() => verifyLedger(ledger, { nowMs }, never))
  say('verify', `${Math.round(verified.ms / 1000)} s`, 'no problems', verified.value.problems.length === 0)
  const rebuilt = await timed(() => ledger.rebuild(never))
  say('rebuild', `${Math.round(rebuilt.ms / 1000)} s`)
  say('memory at the end', rss())
}

const folder = mkdtempSync(join(tmpdir(), 'spillway-bench-ledger-'))
try {
  const file = join(folder, 'ledger.db')
  const writer = await openSqliteLedger({ file })
  say('memory, empty', rss())
  await build(writer)
  await writer.close()
  say('file', `${Math.round(statSync(file).size / 1_048_576)} MB`)
  const ledger = await openSqliteLedger({ file })
  await measure(ledger)
  if (flags.all) await measureAll(ledger)
  await ledger.close()
} finally {
  rmSync(folder, { recursive: true })
}
const columns = [
  { title: 'what' },
  { title: 'found', right: true },
  { title: 'target', right: true },
  { title: '' },
]
const cells = rows.map(({ what, found, target, ok }) => [
  what,
  found,
  target,
  ok === undefined ? '' : ok ? 'ok' : 'missed',
])
process.stdout.write(formatTable(columns, cells))
if (rows.some(({ ok }) => ok === false)) process.exitCode = 3
