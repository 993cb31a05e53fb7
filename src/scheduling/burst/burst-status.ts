import { spendPeriods } from '../../config/spend-caps.ts'
import { kubeTime } from '../../model/clock.ts'
import { formatMoney, formatNanos } from '../../model/money.ts'
import type { HeldBy } from '../judgement.ts'
import type { BurstPolicy } from './burst-policy.ts'
import type { BurstCondition, BurstPolicyStatus, SpendStatus } from './burst-policy-object.ts'
import { capStates, type CapState, type Commitment } from './spend.ts'

/** What one policy has to do with at this moment. */
export interface BurstTally {
  readonly workloads: number
  readonly pods: number
  readonly virtualPods: number
  /** Pods that this policy keeps in. */
  readonly held: readonly HeldBy[]
  /** Undefined: it has no caps, or what was spent is not known yet. */
  readonly commitment: Commitment | undefined
}

export interface StatusMoment {
  /** Of a policy that says Always; left out: it does not. */
  readonly atCreation?: { readonly holds: boolean; readonly because: string } | undefined
  /** Names of the pools that there are. */
  readonly pools: readonly string[]
  readonly previous: BurstPolicyStatus | undefined
  readonly nowWallMs: number
}

/** The status to be written. Pure; a condition that stays as it was keeps the time of its last transition. */
export function burstStatus(
  policy: BurstPolicy,
  tally: BurstTally,
  { pools, atCreation, previous, nowWallMs }: StatusMoment,
): BurstPolicyStatus {
  const { workloads, pods, virtualPods, held } = tally
  const said = [accepted(policy, pools), ...fromTheStart(atCreation), ...budget(policy, tally)]
  const conditions = said.map((condition): BurstCondition => {
    const before = previous?.conditions?.find(({ type }) => type === condition.type)
    const lastTransitionTime =
      before?.status === condition.status ? before.lastTransitionTime : kubeTime(nowWallMs)
    return { ...condition, observedGeneration: policy.generation, lastTransitionTime }
  })
  const spend = spendStatus(policy, tally.commitment)
  return {
    observedGeneration: policy.generation,
    workloads,
    pods,
    virtualPods,
    heldPods: held.length,
    // A cap that was taken away: its figures go, too.
    spend: spend ?? null,
    conditions,
  }
}

type Condition = Omit<BurstCondition, 'observedGeneration' | 'lastTransitionTime'>

function accepted({ spec, problems }: BurstPolicy, pools: readonly string[]): Condition {
  const type = 'Accepted'
  if (problems.length > 0) {
    const message = `whom it selects stays on servers: ${problems.join('; ')}`
    return { type, status: 'False', reason: 'Unreadable', message }
  }
  const unknown = unknownPools(spec.pools, pools)
  if (unknown.length > 0) {
    const message = `spec.pools: found ${unknown.join(', ')}; there are: ${pools.join(', ') || 'none'}`
    return { type, status: 'False', reason: 'UnknownPool', message }
  }
  return { type, status: 'True', reason: 'Accepted', message: 'it is in effect' }
}

/** deploy/admission/burst-policies.yaml goes by it. */
function fromTheStart(atCreation: StatusMoment['atCreation']): readonly Condition[] {
  if (!atCreation) return []
  const { holds, because: message } = atCreation
  const type = 'AtCreation'
  return [
    holds
      ? { type, status: 'True', reason: 'FromTheStart', message }
      : { type, status: 'False', reason: 'AfterRefusal', message },
  ]
}

export function unknownPools(named: readonly string[] = [], pools: readonly string[]): readonly string[] {
  return named.filter((name) => !pools.includes(name))
}

function budget(policy: BurstPolicy, { commitment, held }: BurstTally): readonly Condition[] {
  const caps = policy.spec.spend
  if (!caps || !commitment) return []
  const type = 'BudgetExhausted'
  const states = capStates(caps, commitment)
  const money = (nanos: bigint): string => formatMoney(nanos, caps.currency)
  const spent = states.find((state) => state.spent >= state.cap)
  if (spent) {
    const goesOn = caps.atCap === 'Stop' ? 'what runs is evicted' : 'what runs goes on'
    const message = `${money(spent.spent)} of ${money(spent.cap)} per ${spent.period} are spent; nothing more goes out, ${goesOn}`
    return [{ type, status: 'True', reason: 'CapSpent', message }]
  }
  const waiting = held.filter(({ why }) => why === 'budget').length
  const full = states.find((state) => state.spent + state.reserved >= state.cap)
  const nearest = nearestCap(states)
  if (waiting > 0 || full) {
    const tight = full ?? nearest
    const wait = waiting === 1 ? '; 1 Pod waits' : `; ${waiting} Pods wait`
    const message = `${tight ? describe(tight, money) : 'it is full'}${waiting > 0 ? wait : ''}`
    return [{ type, status: 'True', reason: 'NoRoom', message }]
  }
  const near = states.find((state) => state.spent * 100n >= state.cap * BigInt(caps.warnAtPercent))
  if (near) {
    const message = `${describe(near, money)}; people are to be warned at ${caps.warnAtPercent} %`
    return [{ type, status: 'False', reason: 'NearCap', message }]
  }
  // Without figures: they are in status.spend, and would be written anew all the time.
  return [{ type, status: 'False', reason: 'WithinBudget', message: 'there is room for more' }]
}

function describe({ period, cap, spent, reserved }: CapState, money: (nanos: bigint) => string): string {
  return `of ${money(cap)} per ${period} ${money(spent)} are spent and ${money(reserved)} reserved for what runs`
}

/** The one of which the largest share is gone. */
function nearestCap(states: readonly CapState[]): CapState | undefined {
  const [first, ...others] = states
  return others.reduce((nearest, other) => {
    if (!nearest) return other
    const isNearer =
      (other.spent + other.reserved) * nearest.cap > (nearest.spent + nearest.reserved) * other.cap
    return isNearer ? other : nearest
  }, first)
}

function spendStatus({ spec }: BurstPolicy, commitment: Commitment | undefined): SpendStatus | undefined {
  if (!spec.spend || !commitment) return undefined
  const { currency } = spec.spend
  const states = capStates(spec.spend, commitment)
  const nearest = nearestCap(states)
  if (!nearest) return undefined
  const of = (nanos: bigint): string => formatMoney(nanos, currency)
  const periods = spendPeriods.flatMap((period) => {
    const state = states.find((one) => one.period === period)
    if (!state) return []
    const { spent, reserved, cap } = state
    return [[period, { spent: formatNanos(spent), reserved: formatNanos(reserved), cap: formatNanos(cap) }]]
  })
  return {
    summary: `${of(nearest.spent)} of ${of(nearest.cap)} per ${nearest.period}`,
    currency,
    ...Object.fromEntries(periods),
  }
}

/** Whether more than the figures of money differs. */
export function differs(before: BurstPolicyStatus | undefined, after: BurstPolicyStatus): boolean {
  return JSON.stringify(withoutMoney(before)) !== JSON.stringify(withoutMoney(after))
}

function withoutMoney(status: BurstPolicyStatus | undefined): unknown {
  if (!status) return undefined
  const { observedGeneration, workloads, pods, virtualPods, heldPods, spend, conditions = [] } = status
  const said = conditions.map(({ type, status: is, reason, observedGeneration: of }) => [
    type,
    is,
    reason,
    of,
    // The words of these two change with every figure.
    reason === 'NoRoom' || reason === 'NearCap' || reason === 'CapSpent'
      ? ''
      : conditions.find((one) => one.type === type)?.message,
  ])
  return [observedGeneration, workloads, pods, virtualPods, heldPods, Boolean(spend), said]
}
