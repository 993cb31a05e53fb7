import type { Transaction } from 'kysely'
import type { UsageEvent } from '../../model/usage.ts'
import { heartbeatOf, isHeartbeat, sandboxKey, type Heartbeat } from '../heartbeats.ts'
import type { AppendOutcome } from '../ledger.ts'
import { encodeJson } from '../ledger-json.ts'
import { chunks, eventOf, rowsPerInsert } from './event-rows.ts'
import { readHeartbeats } from './heartbeat-rows.ts'
import type { LedgerSchema } from './schema.ts'

export interface News {
  /** One an event, in their order. */
  readonly outcomes: readonly AppendOutcome[]
  /** For the log. */
  readonly facts: readonly UsageEvent[]
  /** The last of each sandbox, of those that come later than what is kept. */
  readonly heartbeats: readonly Heartbeat[]
}

/** What of these events the ledger does not know. */
export async function newsIn(db: Transaction<LedgerSchema>, events: readonly UsageEvent[]): Promise<News> {
  const told = Map.groupBy(events, (event) => (isHeartbeat(event) ? 'heartbeats' : 'facts'))
  const known = await knownContents(db, told.get('facts') ?? [])
  const seen = await lastSeen(db, told.get('heartbeats') ?? [])
  const facts: UsageEvent[] = []
  const heartbeats = new Map<string, Heartbeat>()
  const outcomeOf = (event: UsageEvent): AppendOutcome => {
    if (isHeartbeat(event)) {
      const key = sandboxKey(event)
      if (event.atMs <= (seen.get(key) ?? -Infinity)) return 'duplicate'
      seen.set(key, event.atMs)
      heartbeats.set(key, heartbeatOf(event))
      return 'appended'
    }
    const contents = contentsOf(event)
    const before = known.get(event.id)
    if (before !== undefined) return before === contents ? 'duplicate' : 'differs'
    known.set(event.id, contents)
    facts.push(event)
    return 'appended'
  }
  const outcomes = events.map(outcomeOf)
  return { outcomes, facts, heartbeats: [...heartbeats.values()] }
}

async function lastSeen(
  db: Transaction<LedgerSchema>,
  events: readonly UsageEvent[],
): Promise<Map<string, number>> {
  const kept = await readHeartbeats(db, [...new Set(events.map(({ podUid }) => podUid))])
  return new Map(kept.map((heartbeat) => [sandboxKey(heartbeat), heartbeat.atMs]))
}

async function knownContents(
  db: Transaction<LedgerSchema>,
  events: readonly UsageEvent[],
): Promise<Map<string, string>> {
  const known = new Map<string, string>()
  for (const part of chunks(events, rowsPerInsert)) {
    const rows = await db
      .selectFrom('event')
      .selectAll()
      .where(
        'event_id',
        'in',
        part.map(({ id }) => id),
      )
      .execute()
    for (const row of rows) known.set(row.event_id, contentsOf(eventOf(row)))
  }
  return known
}

/** What makes two events of one id the same. When it was seen does not. */
function contentsOf({ atMs, fact }: UsageEvent): string {
  return fact.kind === 'OPENED' || fact.kind === 'CLOSED' || fact.kind === 'ADJUSTED'
    ? encodeJson([atMs, fact])
    : fact.kind
}
