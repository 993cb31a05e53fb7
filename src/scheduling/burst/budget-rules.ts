import type { Namespace, Pod } from '../../model/kubernetes.ts'
import { formatMoney } from '../../model/money.ts'
import type { HeldBy } from '../judgement.ts'
import type { Budget } from './budget.ts'
import { committedWithout, endOf, selectedOf, type PricedPool } from './accounts.ts'
import type { BurstPicture } from './burst-picture.ts'
import { capStates, reservation, type Rate } from './spend.ts'

export interface BudgetRefusal {
  readonly evidence: string
  readonly heldBy: HeldBy
  /** What is missing may be known in a moment: nobody is to be failed for it. */
  readonly isUnknown: boolean
}

export interface BudgetQuestion {
  readonly pod: Pod
  readonly home: Namespace | undefined
  readonly bursts: BurstPicture
  readonly nowMs: number
}

/** Why the Pod may not go to that pool for its price there; undefined: it may. */
export function budgetRefusal(pool: PricedPool, question: BudgetQuestion): BudgetRefusal | undefined {
  return firstRefusal(pool, question, budgetsFor(pool, question))
}

/**
 * The same at the door of a node, for who comes without anybody's leave. Policies say who is let out, so that who was not
 * let out is none of theirs; what a pool or a namespace may cost holds for all that would start.
 */
export function doorRefusal(pool: PricedPool, question: BudgetQuestion): BudgetRefusal | undefined {
  const budgets = budgetsFor(pool, question).filter(({ owner }) => owner.kind !== 'policy')
  return firstRefusal(pool, question, budgets)
}

function budgetsFor({ name }: PricedPool, { pod, home, bursts }: BudgetQuestion): readonly Budget[] {
  return bursts.budgets.of({ ...selectedOf(pod), pools: [name] }, home)
}

function firstRefusal(
  pool: PricedPool,
  question: BudgetQuestion,
  budgets: readonly Budget[],
): BudgetRefusal | undefined {
  if (budgets.length === 0) return undefined
  const rate = pool.rate?.(question.pod, question.nowMs)
  for (const budget of budgets) {
    const refusal = refusedBy(budget, { ...question, pool: pool.name, rate })
    if (refusal) return refusal
  }
  return undefined
}

function refusedBy(
  budget: Budget,
  {
    pod,
    bursts,
    nowMs,
    pool,
    rate,
  }: BudgetQuestion & { readonly pool: string; readonly rate: Rate | undefined },
): BudgetRefusal | undefined {
  const { id, title, caps, problems } = budget
  const refuse = (evidence: string, told = evidence): BudgetRefusal => ({
    evidence: `${title}: ${evidence}`,
    heldBy: { policy: id, why: 'budget', told: `${title}: ${told}` },
    isUnknown: false,
  })
  const account = bursts.accounts.get(id)
  if (problems.length > 0) return refuse(`it cannot be read (${problems[0]})`)
  if (!account) return undefined
  if (bursts.spend === undefined) {
    return { ...refuse('what was spent so far is not known yet'), isUnknown: true }
  }
  if (!rate) return refuse(`it has a cap on spend, and pool ${pool} has no price for the Pod`)
  if (rate.currency !== caps.currency) {
    return refuse(`its cap is in ${caps.currency}, and pool ${pool} has prices in ${rate.currency}`)
  }
  const wanted = reservation(rate, { fromMs: nowMs, toMs: endOf(pod, nowMs) }, nowMs)
  const committed = committedWithout(account, pod.metadata?.uid ?? '')
  const over = capStates(caps, committed).find(
    ({ period, cap, spent, reserved }) => spent + reserved + wanted[period] > cap,
  )
  if (!over) return undefined
  const { period, cap, spent, reserved } = over
  const money = (nanos: bigint): string => formatMoney(nanos, caps.currency)
  return refuse(
    `until the end of the ${period} it costs up to ${money(wanted[period])}, and of ${money(cap)} per ${period} ` +
      `${money(spent)} are spent and ${money(reserved)} reserved`,
    `the cap of ${money(cap)} per ${period} has no room for it until what runs has ended, or the next ${period}`,
  )
}
