/**
 * What heartbeats cost the ledger: 1,000 Pods that run for a simulated day and are seen every 30 s, each told by itself and
 * awaited until it is durable. Heartbeats a second, and by how much the SQLite file grows. `npm run bench:heartbeats`.
 * Exit code 3 when a target is missed.
 */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { LedgerStore } from '../src/billing/ledger.ts'
import { flatDemo } from '../src/billing/price-books/flat-demo.ts'
import { openSqliteLedger } from '../src/billing/store/sqlite.ts'
import { verifyLedger } from '../src/billing/verify.ts'
import { formatTable } from '../src/cli/table.ts'
import { asPodUid } from '../src/model/pod-key.ts'
import { usageEvent, type UsageEvent, type UsageFact } from '../src/model/usage.ts'

const { values: flags } = parseArgs({
  options: {
    pods: { type: 'string', default: '1000' },
    hours: { type: 'string', default: '24' },
  },
})
const podCount = Number(flags.pods)
const hours = Number(flags.hours)
const never = new AbortController().signal
const startMs = Date.UTC(2026, 9, 1)
const lookMs = 30_000
const looks = (hours * 3_600_000) / lookMs
const targets = { perSecond: 2000, grownBytes: 1_048_576 }

function uidOf(index: number): string {
  return `${(index * 2_654_435_761).toString(16).slice(-8).padStart(8, '0')}-7b1e-4c55-9a3d-${index.toString(16).padStart(12, '0')}`
}

function event(index: number, atMs: number, fact: UsageFact): UsageEvent {
  const podUid = asPodUid(uidOf(index))
  const clusterUid = '0d9a7f2e-4c1b-4f57-8e21-6f0c5b3a9d10'
  return usageEvent({
    clusterUid,
    podUid,
    incarnation: 0,
    atMs,
    observedMs: atMs,
    source: 'spillway',
    fact,
  })
}

function beginning(index: number): UsageEvent[] {
  const [namespace, name] = ['shop', `web-${index}`]
  const spec = { cpuMillis: 1000n, memoryMiB: 2048n, gpus: 0n }
  const terms = {
    priceBook: flatDemo.id,
    spec,
    demand: spec,
    steps: ["the Pod's requests, as the scheduler counts them"],
  }
  const pod = {
    clusterUid: 'bench',
    uid: asPodUid(uidOf(index)),
    namespace,
    name,
    workload: { kind: 'Deployment', name: 'web' },
    pool: 'burst',
    node: 'burst-0',
    labels: { app: 'web' },
  }
  return [
    event(index, startMs - 50, { kind: 'INTENT', pod, terms, generation: 1 }),
    event(index, startMs, {
      kind: 'OPENED',
      sandboxId: uidOf(index),
      pod: { namespace, name, node: 'burst-0' },
    }),
  ]
}

/** With the part that SQLite writes ahead and overwrites. */
function bytesOf(file: string): number {
  return [file, `${file}-wal`].reduce((sum, name) => sum + (existsSync(name) ? statSync(name).size : 0), 0)
}

/** Answers how many milliseconds it took. */
async function aDay(ledger: LedgerStore): Promise<number> {
  const began = performance.now()
  for (let look = 1; look <= looks; look += 1) {
    const atMs = startMs + look * lookMs
    const seen = Array.from({ length: podCount }, (_, index) =>
      event(index, atMs + (index % 1000), { kind: 'OBSERVED', bucket: atMs + (index % 1000) }),
    )
    await Promise.all(seen.map((one) => ledger.append([one], never)))
    if (look % 120 === 0) process.stderr.write(`${(look * lookMs) / 3_600_000} h\n`)
  }
  return performance.now() - began
}

const folder = mkdtempSync(join(tmpdir(), 'spillway-bench-heartbeats-'))
const rows: { what: string; found: string; target: string; ok: boolean | undefined }[] = []
try {
  const file = join(folder, 'ledger.db')
  const ledger = await openSqliteLedger({ file })
  await ledger.keepPriceBooks([flatDemo], never)
  for (let index = 0; index < podCount; index += 1) await ledger.append(beginning(index), never)
  // What is written ahead has its full size from the first look on.
  const first = Array.from({ length: podCount }, (_, index) =>
    event(index, startMs + 1, { kind: 'OBSERVED', bucket: startMs + 1 }),
  )
  for (const one of first) await ledger.append([one], never)
  const before = bytesOf(file)
  const headBefore = await ledger.head(never)
  const ms = await aDay(ledger)
  const grown = bytesOf(file) - before
  const head = await ledger.head(never)
  const rate = Math.round((podCount * looks * 1000) / ms)
  rows.push(
    {
      what: `heartbeats of ${podCount} Pods in ${hours} h`,
      found: String(podCount * looks),
      target: '',
      ok: undefined,
    },
    {
      what: 'heartbeats a second, durable, all Pods at once',
      found: String(rate),
      target: `≥ ${targets.perSecond}`,
      ok: rate >= targets.perSecond,
    },
    {
      what: `the file, of ${Math.round(before / 1024)} KiB, has grown by`,
      found: `${Math.round(grown / 1024)} KiB`,
      target: `≤ ${targets.grownBytes / 1024} KiB`,
      ok: grown <= targets.grownBytes,
    },
    {
      what: 'the log has grown by',
      found: `${head.seq - headBefore.seq} events`,
      target: '0',
      ok: head.seq === headBefore.seq,
    },
  )
  const { problems } = await verifyLedger(ledger, { nowMs: startMs + hours * 3_600_000 }, never)
  rows.push({ what: 'verify', found: `${problems.length} problems`, target: '0', ok: problems.length === 0 })
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
