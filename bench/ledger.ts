/**
 * The ledger: on SQLite with a million intervals, how many events a second it takes durably, what a month's bill by
 * namespace takes, what sealing, verifying and rebuilding take, and what memory; then SQLite and PostgreSQL side by side
 * with fewer, and what an append waits while bills of the month are made in a loop. Builds all of it itself.
 * `npm run bench:ledger`. Exit code 3 when a target is missed.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bill } from '../src/billing/invoice.ts'
import type { Period } from '../src/billing/charges.ts'
import type { LedgerStore } from '../src/billing/ledger.ts'
import { flatDemo } from '../src/billing/price-books/flat-demo.ts'
import { sealPeriod } from '../src/billing/seal-period.ts'
import { openPostgresLedger } from '../src/billing/store/postgres.ts'
import { openSqliteLedger } from '../src/billing/store/sqlite.ts'
import { verifyLedger } from '../src/billing/verify.ts'
import { formatTable } from '../src/cli/table.ts'
import type { UsageEvent } from '../src/model/usage.ts'
import { startPostgres } from '../test/support/postgres-server.ts'
import { GeneratedLives, month, monthToDate, nowMs } from './ledger-lives.ts'
import { appendWaits } from './ledger-waits.ts'

const { values: flags } = parseArgs({
  options: {
    /** On SQLite alone; 0: only side by side. */
    intervals: { type: 'string', default: '1000000' },
    /** On SQLite and PostgreSQL; 0: not side by side. */
    beside: { type: 'string', default: '200000' },
    /** Of either, so many are told step by step, as a running Spillway does. */
    stepwise: { type: 'string', default: '20000' },
    /** Seal, verify and rebuild the first as well, which takes minutes. */
    all: { type: 'boolean', default: false },
  },
})
const targets = { eventsPerSecond: 2000, billMs: 2000 }
const never = new AbortController().signal
const callers = 200
const eventsPerAppend = 1200
/** Of those that are appended while bills are made: each is three events. */
const waitingLives = 1500

type Options = { readonly readerFromEvents?: number }
interface Place {
  readonly name: string
  open(options?: Options): Promise<LedgerStore>
}

interface Row {
  readonly what: string
  readonly found: string
  readonly target: string
  readonly ok: boolean | undefined
}
const rows: Row[] = []
const say = (what: string, found: string, target = '', ok?: boolean): void => {
  rows.push({ what, found, target, ok })
  process.stderr.write(`${what}: ${found}\n`)
}
const rss = (): string => `${Math.round(process.memoryUsage.rss() / 1_048_576)} MB`
const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`

/** Many Pods at once, each telling one thing after the other, and waiting until that is durable. Answers events a second. */
async function tellStepwise(ledger: LedgerStore, lives: readonly (readonly UsageEvent[])[]): Promise<number> {
  let next = 0
  const caller = async (): Promise<void> => {
    for (let index = next++; index < lives.length; index = next++) {
      for (const event of lives[index] ?? []) await ledger.append([event], never)
    }
  }
  const { tookMs } = await timed(() => Promise.all(Array.from({ length: callers }, caller)))
  return Math.round((lives.flat().length / tookMs) * 1000)
}

async function timed<T>(work: () => Promise<T>): Promise<{ tookMs: number; value: T }> {
  const began = performance.now()
  const value = await work()
  return { tookMs: performance.now() - began, value }
}

interface Sizes {
  readonly intervals: number
  readonly stepwise: number
}

interface Rates {
  readonly empty: number
  readonly bulk: number
  readonly full: number
}

/** Events a second: step by step into an empty ledger, in bulk, and step by step into a full one. */
async function build(ledger: LedgerStore, { intervals, stepwise }: Sizes): Promise<Rates> {
  await ledger.keepPriceBooks([flatDemo], never)
  const lives = new GeneratedLives(intervals)
  const take = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => lives.next(from + index))
  const empty = await tellStepwise(ledger, take(0, stepwise))
  let told = 0
  const { tookMs } = await timed(async () => {
    for (let index = stepwise; index < intervals;) {
      const batch: UsageEvent[] = []
      for (; batch.length < eventsPerAppend && index < intervals; index += 1) batch.push(...lives.next(index))
      await ledger.append(batch, never)
      if (Math.floor(told / 750_000) !== Math.floor((told + batch.length) / 750_000)) {
        process.stderr.write(`memory with ${index} intervals: ${rss()}\n`)
      }
      told += batch.length
    }
  })
  const full = await tellStepwise(ledger, take(intervals, stepwise))
  return { empty, bulk: Math.round((told / tookMs) * 1000), full }
}

async function billMs(
  ledger: LedgerStore,
  by: 'namespace' | readonly ['day', 'pool'],
  period: Period = month,
): Promise<number> {
  return (await timed(() => bill(ledger, { ...period, nowMs, by }, never))).tookMs
}

async function measureLarge(ledger: LedgerStore): Promise<void> {
  const { eventsPerSecond, billMs: longestMs } = targets
  const { empty, bulk, full } = await build(ledger, sizesOf(flags.intervals))
  const rate = (what: string, found: number): void =>
    say(what, String(found), `≥ ${eventsPerSecond}`, found >= eventsPerSecond)
  rate(`events a second, durable, ${callers} Pods at once, empty ledger`, empty)
  rate('the same, full ledger', full)
  say('events a second, in bulk', String(bulk))
  say('memory with all of them', rss())
  for (const what of ['first', 'again']) {
    const tookMs = await billMs(ledger, 'namespace')
    say(`month bill by namespace, ${what}`, ms(tookMs), `≤ ${longestMs} ms`, tookMs <= longestMs)
  }
  say('month bill by day and pool', ms(await billMs(ledger, ['day', 'pool'])))
  say(
    'month bill by namespace, up to the middle of a day',
    ms(await billMs(ledger, 'namespace', monthToDate)),
  )
  say('memory after the bills', rss())
}

async function measureAll(ledger: LedgerStore): Promise<void> {
  const sealed = await timed(() => sealPeriod(ledger, { ...month, nowMs }, never))
  say('sealing the month', `${Math.round(sealed.tookMs / 1000)} s`)
  say('of it, lines', String(sealed.value.lines.count))
  const verified = await timed(() => verifyLedger(ledger, { nowMs }, never))
  const { problems } = verified.value
  say('verify', `${Math.round(verified.tookMs / 1000)} s`, 'no problems', problems.length === 0)
  say('rebuild', `${Math.round((await timed(() => ledger.rebuild(never))).tookMs / 1000)} s`)
  say('memory at the end', rss())
}

/** The same of each store, under the same names. */
async function measureBeside(place: Place): Promise<ReadonlyMap<string, number>> {
  const sizes = sizesOf(flags.beside)
  const found = new Map<string, number>()
  const note = (what: string, value: number): void => {
    found.set(what, value)
    process.stderr.write(`${place.name}, ${what}: ${value < 10 ? value.toFixed(1) : Math.round(value)}\n`)
  }
  const ledger = await place.open()
  const { empty, bulk, full } = await build(ledger, sizes)
  note(`events a second, durable, ${callers} Pods at once, empty ledger`, empty)
  note('the same, full ledger', full)
  note('events a second, in bulk', bulk)
  await billMs(ledger, 'namespace')
  note('month bill by namespace, ms', await billMs(ledger, 'namespace'))
  note('month bill by day and pool, ms', await billMs(ledger, ['day', 'pool']))
  note('month bill up to the middle of a day, ms', await billMs(ledger, 'namespace', monthToDate))
  await ledger.close()
  const lives = new GeneratedLives(sizes.intervals)
  const first = 2 * sizes.intervals
  const runs: readonly [Run, Run, Run] = [
    { what: 'no bills', withBills: false, options: {} },
    {
      what: 'bills in a loop, one thread for both',
      withBills: true,
      options: { readerFromEvents: Infinity },
    },
    { what: 'bills in a loop', withBills: true, options: {} },
  ]
  for (const [number, { what, withBills, options }] of runs.entries()) {
    const opened = await place.open(options)
    const own = Array.from({ length: waitingLives }, (_, index) =>
      lives.next(first + number * waitingLives + index),
    )
    const { p50Ms, p99Ms, bills } = await appendWaits(opened, own, { callers: 20, withBills })
    await opened.close()
    note(`append, ${what}: p50, ms`, p50Ms)
    note(`append, ${what}: p99, ms`, p99Ms)
    if (withBills) note(`append, ${what}: bills meanwhile`, bills)
  }
  const p99 = ({ what }: (typeof runs)[number]): number => found.get(`append, ${what}: p99, ms`) ?? NaN
  note('p99 with bills, one thread ÷ two', p99(runs[1]) / p99(runs[2]))
  return found
}

interface Run {
  readonly what: string
  readonly withBills: boolean
  readonly options: Options
}

function sizesOf(intervals: string): Sizes {
  return { intervals: Number(intervals), stepwise: Math.min(Number(flags.stepwise), Number(intervals)) }
}

async function sideBySide(folder: string): Promise<string> {
  await using server = await startPostgres().then((started) => ({
    ...started,
    url: started.ledgerUrl('bench'),
    [Symbol.asyncDispose]: () => started.destroy(),
  }))
  const { url } = server
  const file = join(folder, 'beside.db')
  const sqlite = await measureBeside({
    name: 'SQLite',
    open: (options) => openSqliteLedger({ file, ...options }),
  })
  const postgres = await measureBeside({
    name: 'PostgreSQL',
    open: (options) => openPostgresLedger({ url, environment: {}, ...options }),
  })
  const cell = (value = NaN): string => (value < 10 ? value.toFixed(1) : String(Math.round(value)))
  return formatTable(
    [
      { title: `${flags.beside} intervals` },
      { title: 'SQLite', right: true },
      { title: 'PostgreSQL', right: true },
      { title: 'ratio', right: true },
    ],
    [...sqlite].map(([what, one]) => {
      const other = postgres.get(what) ?? NaN
      return [what, cell(one), cell(other), (other / one).toFixed(2)]
    }),
  )
}

const folder = mkdtempSync(join(tmpdir(), 'spillway-bench-ledger-'))
try {
  if (Number(flags.intervals) > 0) {
    const file = join(folder, 'ledger.db')
    const ledger = await openSqliteLedger({ file })
    say('memory, empty', rss())
    await measureLarge(ledger)
    if (flags.all) await measureAll(ledger)
    await ledger.close()
    say('file', `${Math.round(statSync(file).size / 1_048_576)} MB`)
    const columns = [{ title: 'what' }, { title: 'found', right: true }, { title: 'target', right: true }]
    const cells = rows.map(({ what, found, target, ok }) => [what, found, `${target}${verdict(ok)}`])
    process.stdout.write(formatTable(columns, cells))
  }
  if (Number(flags.beside) > 0) process.stdout.write(`\n${await sideBySide(folder)}`)
} finally {
  rmSync(folder, { recursive: true })
}
if (rows.some(({ ok }) => ok === false)) process.exitCode = 3

function verdict(ok: boolean | undefined): string {
  return ok === undefined ? '' : ok ? ' ok' : ' missed'
}
