import type { Kysely } from 'kysely'
import type { PodUid } from '../../model/pod-key.ts'
import type { UsageEvent } from '../../model/usage.ts'
import { sealedUntil } from '../seal.ts'
import { insertAdjustments, projectEvents, type ProjectionRules } from './account-rows.ts'
import { insertEvents } from './event-rows.ts'
import type { LedgerSchema } from './schema.ts'

export interface Told {
  /** None of them known yet. */
  readonly facts: readonly UsageEvent[]
  /** Whose heartbeats may decide something, besides. */
  readonly pods?: readonly PodUid[]
}

/**
 * Writes facts into the log, with the heartbeats that decide something now and with what they correct in sealed
 * periods, and brings the projections up to date; in the caller's transaction.
 */
export async function tellEvents(
  db: Kysely<LedgerSchema>,
  { facts, pods = [] }: Told,
  rules: ProjectionRules,
): Promise<void> {
  if (facts.length === 0 && pods.length === 0) return
  const { deciding, corrections } = await projectEvents(db, { facts, pods }, rules)
  await insertEvents(db, [...facts, ...deciding, ...corrections])
  const sealedUntilMs = sealedUntil(rules.seals)
  await insertAdjustments(db, [...facts, ...corrections], sealedUntilMs)
}
