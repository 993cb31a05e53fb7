import { Gauge, type Registry } from 'prom-client'

/** One cap of one budget, in the units of its currency. */
export interface BudgetSample {
  readonly labels: {
    /** `BurstPolicy`, `ClusterBurstPolicy`, `VirtualNodePool` or `Namespace`. */
    readonly owner: string
    readonly name: string
    readonly period: string
    readonly currency: string
  }
  readonly limit: number
  readonly spent: number
  readonly reserved: number
  readonly forecastRatio: number
}

const labelNames = ['owner', 'name', 'period', 'currency']

/** Informative: floats, as of the last look. Bills and limits go by the ledger. */
export function registerBudgets(registry: Registry, samples: () => readonly BudgetSample[]): void {
  const gauge = (name: string, help: string, value: (sample: BudgetSample) => number): void => {
    new Gauge({
      name,
      help: `${help} (informative)`,
      labelNames,
      registers: [registry],
      collect() {
        this.reset()
        for (const sample of samples()) this.set(sample.labels, value(sample))
      },
    })
  }
  gauge('spillway_budget_limit', 'Most that may be spent in the period', ({ limit }) => limit)
  gauge('spillway_budget_spent', 'Spent so far in the period', ({ spent }) => spent)
  gauge(
    'spillway_budget_reserved',
    'Set aside until the end of the period for what runs or may go',
    ({ reserved }) => reserved,
  )
  gauge(
    'spillway_budget_forecast_ratio',
    'What the whole period costs if nothing starts and nothing ends early, as a share of the limit',
    ({ forecastRatio }) => forecastRatio,
  )
}
