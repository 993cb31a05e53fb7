import type { PodUid } from '../model/pod-key.ts'
import type { SequencedEvent } from './ledger.ts'
import { projectPod, type UsageInterval } from './projection.ts'
import { sealedUntil, type Seal } from './seal.ts'

/** What is billed of one Pod's sandboxes, after events that came when everything before `sealedUntilMs` was sealed. */
export interface Accounts {
  /** They stand in the sealed periods as they were, for ever. */
  readonly frozen: readonly UsageInterval[]
  /** As all events have it; billed where nothing is sealed. */
  readonly current: readonly UsageInterval[]
}

/**
 * Copy on write: a sealed period is billed by the accounts that stood when it was sealed. As long as no event comes they
 * are the current ones; the first event after the seal keeps them, for the hours that the seal took, and what it tells
 * counts from the seal's end on. What it would have changed before is a correction (billing/corrections.ts).
 */
export function nextAccounts(
  before: readonly UsageInterval[],
  projected: readonly UsageInterval[],
  sealedUntilMs: number,
): Accounts {
  return {
    frozen: before.flatMap((interval) => freeze(interval, sealedUntilMs)),
    current: projected.map((interval) =>
      interval.startMs < sealedUntilMs ? { ...interval, billed: { fromMs: sealedUntilMs } } : interval,
    ),
  }
}

function freeze(interval: UsageInterval, sealedUntilMs: number): UsageInterval[] {
  const { startMs, billed } = interval
  if (startMs >= sealedUntilMs || (billed?.fromMs ?? -Infinity) >= sealedUntilMs) return []
  return [{ ...interval, billed: { ...billed, toMs: sealedUntilMs } }]
}

/** Nothing that becomes known later changes its amounts: it has ended, or its hours are sealed. */
export function isSettled({ endMs, billed }: UsageInterval): boolean {
  return endMs !== undefined || billed?.toMs !== undefined
}

/** The whole sandbox, whichever of its hours this account is billed for. */
export function unclipped(interval: UsageInterval): UsageInterval {
  const { billed: _billed, ...whole } = interval
  return whole
}

/** The accounts of a Pod from all of its events, in the order of the log: what step by step came of them. */
export function podAccounts(
  podUid: PodUid,
  events: readonly SequencedEvent[],
  seals: readonly Pick<Seal, 'period' | 'head'>[],
): UsageInterval[] {
  const frozen: UsageInterval[] = []
  let current: readonly UsageInterval[] = []
  const heads = [...seals.map(({ head }) => head.seq), Number.MAX_SAFE_INTEGER]
  let seen = 0
  for (const [index, upToSeq] of heads.entries()) {
    const known = events.filter(({ seq }) => seq <= upToSeq)
    if (known.length === seen) continue
    seen = known.length
    const { intervals } = projectPod(
      podUid,
      known.map(({ event }) => event),
    )
    const next = nextAccounts(current, intervals, sealedUntil(seals.slice(0, index)))
    frozen.push(...next.frozen)
    current = next.current
  }
  return [...frozen, ...current].sort(byPlace)
}

/** As stores give them. */
function byPlace(a: UsageInterval, b: UsageInterval): number {
  return a.incarnation - b.incarnation || (a.billed?.toMs ?? 0) - (b.billed?.toMs ?? 0)
}
