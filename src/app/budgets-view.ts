import type { BudgetsView, BudgetView } from '../console/api/contract.ts'
import { formatNanos } from '../model/money.ts'
import type { BudgetOwner } from '../scheduling/burst/budget.ts'
import { isClosed, type BudgetReport } from '../scheduling/burst/budget-report.ts'
import type { BudgetSample } from '../telemetry/budget-metrics.ts'

/** As `spillway budget` prints them. */
export function budgetsView(reports: readonly BudgetReport[], atMs: number): BudgetsView {
  return { atMs, budgets: reports.map(budgetView) }
}

function budgetView(report: BudgetReport): BudgetView {
  const { budget, reason, message, outlook, perHour, periods } = report
  const { currency, atCap, warnAtPercent } = budget.caps
  return {
    ...ownerOf(budget.owner),
    state: reason,
    isClosed: isClosed(report),
    message,
    outlook,
    currency,
    atCap,
    warnAtPercent,
    perHour: formatNanos(perHour),
    periods: periods.map(({ period, cap, spent, reserved, forecast, endsMs, spentMs }) => ({
      period,
      cap: formatNanos(cap),
      spent: formatNanos(spent),
      reserved: formatNanos(reserved),
      forecast: formatNanos(forecast),
      endsMs,
      spentMs,
    })),
  }
}

function ownerOf(owner: BudgetOwner): Pick<BudgetView, 'owner' | 'name'> {
  switch (owner.kind) {
    case 'policy': {
      const { kind, namespace, name } = owner.policy
      return { owner: kind, name: namespace === undefined ? name : `${namespace}/${name}` }
    }
    case 'pool':
      return { owner: 'VirtualNodePool', name: owner.name }
    case 'namespace':
      return { owner: 'Namespace', name: owner.name }
  }
}

/** One for each cap. */
export function budgetSamples(reports: readonly BudgetReport[]): readonly BudgetSample[] {
  return reports.flatMap(({ budget, periods }) =>
    periods.map(({ period, cap, spent, reserved, forecast }) => ({
      labels: { ...ownerOf(budget.owner), period, currency: budget.caps.currency },
      limit: units(cap),
      spent: units(spent),
      reserved: units(reserved),
      forecastRatio: cap === 0n ? Number.POSITIVE_INFINITY : Number((forecast * 1_000_000n) / cap) / 1e6,
    })),
  )
}

/** Prometheus has floats and nothing else; money that is reckoned with never goes through here. */
function units(nanos: bigint): number {
  return Number(nanos) / 1e9
}
