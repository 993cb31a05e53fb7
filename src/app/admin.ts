import { join } from 'node:path'
import { BillingReader } from '../billing/billing-reader.ts'
import { LedgerKeeper } from '../billing/ledger-keeper.ts'
import { UsageReadings } from '../billing/usage-readings.ts'
import { startAdminServer } from '../console/api/admin-server.ts'
import { readModel } from '../console/api/read-model.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import type { Pod } from '../model/kubernetes.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import type { BackendStack } from './backend-stack.ts'
import type { BudgetDesk } from './budgets.ts'
import { budgetSamples, budgetsView } from './budgets-view.ts'
import { checker } from './check.ts'
import { explainer } from './explain.ts'
import type { House } from './house.ts'
import { ledgerSample, ledgerView } from './ledger-view.ts'
import { reconciler } from './reconcile.ts'
import type { VirtualNodes } from './virtual-nodes.ts'

/** What `spillway status` and `bill` talk to. */
export async function serveAdmin(
  house: House,
  stacks: readonly BackendStack[],
  virtualNodes: VirtualNodes,
  { live }: Pick<BudgetDesk, 'live'>,
): Promise<void> {
  const { config, world, cluster, ledger, ledgerHealth, selfCheck, events, pools, ground } = house
  const podsOn = (node: string): readonly Pod[] =>
    stacks.flatMap(({ pods: backendPods }) => backendPods.podsOn(node))
  const usage = new UsageReadings(ledger, world.clock)
  const metrics = createMetrics({
    podsByNode: () =>
      new Map(
        virtualNodes.names.map((node) => [node, podsOn(node).filter((pod) => !isTerminal(pod)).length]),
      ),
    // A ledger that cannot be read now must not take the other metrics with it.
    ledger: async () => await usage.read(new AbortController().signal).catch(() => undefined),
    eventsDropped: () => events.dropped,
    budgets: () => budgetSamples(live.reports),
    ledgerState: () => ledgerSample(ledgerHealth),
    clockSteps: () => house.clockSteps.count,
  })
  const server = await startAdminServer({
    socket: join(config.runDir, 'admin.sock'),
    model: readModel({
      clusterName: config.clusterName,
      pools: () => pools.configs(),
      nodes: cluster.nodes,
      podsOn,
      billing: new BillingReader(ledger, world.clock),
      keeper: new LedgerKeeper(ledger, world.clock),
      check: checker(house, stacks),
      explain: explainer(house, stacks),
      budgets: () => budgetsView(live.reports, world.clock.wallMs()),
      reconcile: reconciler(house, stacks, virtualNodes),
      ledger: () => ledgerView(ledgerHealth),
      verify: (signal) => selfCheck.verify(signal),
      metrics: () => metrics.metrics(),
      clock: world.clock,
    }),
    log: world.log,
  })
  ground.defer(() => server.close())
}
