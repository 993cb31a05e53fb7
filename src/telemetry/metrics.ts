import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { registerBudgets, type BudgetSample } from './budget-metrics.ts'
import { registerClockSteps, registerLedgerState, type LedgerSample } from './ledger-metrics.ts'
import { registerUsage, type LedgerReading } from './usage-metrics.ts'

/** What gauges read at the moment of a scrape. */
export interface MetricSources {
  /** Pods that have not ended, by virtual node. */
  podsByNode(): ReadonlyMap<string, number>
  /** Undefined while the ledger cannot be read. */
  ledger(): Promise<LedgerReading | undefined>
  eventsDropped(): number
  /** As of the last look. */
  budgets(): readonly BudgetSample[]
  ledgerState(): LedgerSample
  clockSteps(): number
}

/**
 * Every metric, declared once. The defaults of prom-client come with it: event-loop lag, memory and CPU of the process.
 */
export function createMetrics(sources: MetricSources): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  new Gauge({
    name: 'spillway_pods',
    help: 'Pods on a virtual node that have not ended',
    labelNames: ['node'],
    registers,
    collect() {
      this.reset()
      for (const [node, count] of sources.podsByNode()) this.set({ node }, count)
    },
  })
  new Gauge({
    name: 'spillway_events_dropped',
    help: 'Kubernetes Events that could not be written since the start',
    registers,
    collect() {
      this.set(sources.eventsDropped())
    },
  })
  registerBudgets(registry, () => sources.budgets())
  registerLedgerState(registry, () => sources.ledgerState())
  registerClockSteps(registry, () => sources.clockSteps())
  registerUsage(registry, () => sources.ledger())
  return registry
}
