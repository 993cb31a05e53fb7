import { kubeTime } from '../../model/clock.ts'
import type { HeldBy } from '../judgement.ts'
import type { BurstPolicy } from './burst-policy.ts'
import { budgetState } from './budget-state.ts'
import type { BurstCondition, BurstPolicyStatus } from './burst-policy-object.ts'
import type { Commitment, Nanos } from './spend.ts'
import { spendStatus } from './spend-status.ts'

/** What one policy has to do with at this moment. */
export interface BurstTally {
  readonly workloads: number
  readonly pods: number
  readonly virtualPods: number
  /** Pods that this policy keeps in. */
  readonly held: readonly HeldBy[]
  /** Undefined: it has no caps, or what was spent is not known yet. */
  readonly commitment: Commitment | undefined
  readonly forecast: Nanos | undefined
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
  const { workloads, pods, virtualPods, held, commitment, forecast } = tally
  const said = [accepted(policy, pools), ...fromTheStart(atCreation), ...budget(policy, tally)]
  const conditions = said.map((condition): BurstCondition => {
    const before = previous?.conditions?.find(({ type }) => type === condition.type)
    const lastTransitionTime =
      before?.status === condition.status ? before.lastTransitionTime : kubeTime(nowWallMs)
    return { ...condition, observedGeneration: policy.generation, lastTransitionTime }
  })
  const caps = policy.spec.spend
  const spend = caps && commitment && forecast && spendStatus(caps, commitment, forecast)
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

function budget({ spec }: BurstPolicy, { commitment, held }: BurstTally): readonly Condition[] {
  if (!spec.spend || !commitment) return []
  const waiting = held.filter(({ why }) => why === 'budget').length
  const { reason, message } = budgetState(spec.spend, commitment, waiting)
  const isExhausted = reason === 'NoRoom' || reason === 'CapSpent'
  return [{ type: 'BudgetExhausted', status: isExhausted ? 'True' : 'False', reason, message }]
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
