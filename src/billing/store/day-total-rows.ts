import type { Insertable, Kysely, Selectable } from 'kysely'
import type { Period } from '../charges.ts'
import { added, dayTotalKey, type DayTotal, type TotalsQuery } from '../usage-totals.ts'
import { chunks } from './event-rows.ts'
import type { LedgerSchema } from './schema.ts'

/** Fourteen columns each. */
const totalsPerStatement = 500

/** The sums of whole days, which `period` has to consist of. */
export async function readDayTotals(
  db: Kysely<LedgerSchema>,
  period: Period,
  { namespaces = [], pools = [] }: Pick<TotalsQuery, 'namespaces' | 'pools'> = {},
): Promise<DayTotal[]> {
  let query = db
    .selectFrom('day_total')
    .selectAll()
    .where('day_ms', '>=', BigInt(period.fromMs))
    .where('day_ms', '<', BigInt(period.toMs))
  if (namespaces.length > 0) query = query.where('namespace', 'in', namespaces)
  if (pools.length > 0) query = query.where('pool', 'in', pools)
  return (await query.execute()).map(dayTotalOf)
}

/** Adds what changed; a sum without Pods is removed, so that it is as if they had never been. */
export async function addToDayTotals(
  db: Kysely<LedgerSchema>,
  changes: ReadonlyMap<string, DayTotal>,
): Promise<void> {
  if (changes.size === 0) return
  const known = await readKnown(db, [...changes.values()])
  const sums = [...changes].map(([key, change]) => {
    const before = known.get(key)
    return { isNew: before === undefined, sum: before ? added(before, change) : change }
  })
  const kept = sums.filter(({ sum }) => sum.pods !== 0).map(({ sum }) => rowOf(sum))
  for (const part of chunks(kept, totalsPerStatement)) {
    await db
      .insertInto('day_total')
      .values(part)
      .onConflict((conflict) =>
        conflict
          .columns(['day_ms', 'namespace', 'pool', 'currency', 'since_day_ms'])
          .doUpdateSet(({ ref }) => ({
            pods: ref('excluded.pods'),
            estimated: ref('excluded.estimated'),
            unpriced_cpu: ref('excluded.unpriced_cpu'),
            unpriced_memory: ref('excluded.unpriced_memory'),
            unpriced_gpu: ref('excluded.unpriced_gpu'),
            cpu_milli_ms: ref('excluded.cpu_milli_ms'),
            memory_mib_ms: ref('excluded.memory_mib_ms'),
            gpu_ms: ref('excluded.gpu_ms'),
            nanos: ref('excluded.nanos'),
          })),
      )
      .execute()
  }
  for (const { sum, isNew } of sums) {
    if (sum.pods === 0 && !isNew) await remove(db, sum)
  }
}

async function readKnown(
  db: Kysely<LedgerSchema>,
  wanted: readonly DayTotal[],
): Promise<Map<string, DayTotal>> {
  const known = new Map<string, DayTotal>()
  // By day: a Pod of a year is a few hundred sums, and all namespaces of each of its days would be far more.
  for (const [day, own] of Map.groupBy(wanted, ({ dayMs }) => dayMs)) {
    const rows = await db
      .selectFrom('day_total')
      .selectAll()
      .where('day_ms', '=', BigInt(day))
      .where('namespace', 'in', [...new Set(own.map(({ namespace }) => namespace))])
      .execute()
    for (const row of rows) {
      const total = dayTotalOf(row)
      known.set(dayTotalKey(total), total)
    }
  }
  return known
}

async function remove(db: Kysely<LedgerSchema>, total: DayTotal): Promise<void> {
  await db
    .deleteFrom('day_total')
    .where('day_ms', '=', BigInt(total.dayMs))
    .where('namespace', '=', total.namespace)
    .where('pool', '=', total.pool)
    .where('currency', '=', total.currency)
    .where('since_day_ms', '=', BigInt(total.sinceDayMs))
    .execute()
}

function dayTotalOf(row: Selectable<LedgerSchema['day_total']>): DayTotal {
  return {
    dayMs: Number(row.day_ms),
    sinceDayMs: Number(row.since_day_ms),
    namespace: row.namespace,
    pool: row.pool,
    currency: row.currency,
    pods: Number(row.pods),
    estimated: Number(row.estimated),
    unpriced: {
      cpu: Number(row.unpriced_cpu),
      memory: Number(row.unpriced_memory),
      gpu: Number(row.unpriced_gpu),
    },
    quantities: {
      cpuMilliMs: BigInt(row.cpu_milli_ms),
      memoryMiBMs: BigInt(row.memory_mib_ms),
      gpuMs: BigInt(row.gpu_ms),
    },
    nanos: BigInt(row.nanos),
  }
}

function rowOf(total: DayTotal): Insertable<LedgerSchema['day_total']> {
  const { unpriced, quantities } = total
  return {
    day_ms: total.dayMs,
    since_day_ms: total.sinceDayMs,
    namespace: total.namespace,
    pool: total.pool,
    currency: total.currency,
    pods: total.pods,
    estimated: total.estimated,
    unpriced_cpu: unpriced.cpu,
    unpriced_memory: unpriced.memory,
    unpriced_gpu: unpriced.gpu,
    cpu_milli_ms: String(quantities.cpuMilliMs),
    memory_mib_ms: String(quantities.memoryMiBMs),
    gpu_ms: String(quantities.gpuMs),
    nanos: String(total.nanos),
  }
}
