import { runController } from '../control/controller.ts'
import { KeyQueue } from '../control/queue.ts'
import type { Store } from '../kube/api.ts'
import type { Node } from '../model/kubernetes.ts'
import { parseProviderId } from '../model/virtual-node-name.ts'
import { PoolReconciler, type PoolReconcilerOptions } from './pool-reconciler.ts'

export interface RunPoolsOptions extends PoolReconcilerOptions {
  /** In [0, 1). */
  readonly random: () => number
  /** Calls back with a pool whose budget says something else. Returns the end of the subscription. */
  readonly onBudget: (listener: (pool: string) => void) => () => void
}

/** Pools are many only on paper; each waits for API calls of its own. */
const concurrency = 8

/** Changes come in crowds. */
const settleMs = 100

/**
 * Brings every pool to the nodes that it is to have, until the signal is aborted: adds, empties and removes nodes, and
 * says in status and events what it does. What it knows of the past stands in the Nodes, so a restart changes nothing.
 */
export async function runPools(options: RunPoolsOptions, signal: AbortSignal): Promise<void> {
  const { pools, nodes, pods, host, clock, random, log } = options
  const queue = new KeyQueue({ clock, concurrency })
  const reconciler = new PoolReconciler(options)
  try {
    await Promise.all([pools.whenKnown(signal), nodes.whenSynced(signal), pods.whenSynced(signal)])
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  const ends = [
    pools.subscribe((name) => queue.add(name)),
    host.subscribe((name) => queue.add(name, settleMs)),
    options.onBudget((name) => queue.add(name, settleMs)),
    nodes.subscribe(({ before, after }) => {
      const place = parseProviderId((after ?? before)?.spec?.providerID)
      if (place) queue.add(place.pool, settleMs)
    }),
    pods.subscribe(({ before, after }) => {
      const pool = poolOfNode(nodes, after?.spec?.nodeName ?? before?.spec?.nodeName)
      if (pool !== undefined) queue.add(pool, settleMs)
      else for (const name of reconciler.autoscaled()) queue.add(name, settleMs)
    }),
  ]
  // In order: the first nodes get the first ports.
  for (const { name } of pools.list()) queue.add(name)
  const reconcile = (name: string, inner: AbortSignal) => reconciler.reconcile(name, inner)
  try {
    await runController({ name: 'pools', queue, reconcile, clock, random, log }, signal)
  } finally {
    for (const end of ends) end()
  }
}

function poolOfNode(nodes: Store<Node>, name: string | undefined): string | undefined {
  return name === undefined ? undefined : parseProviderId(nodes.get({ name })?.spec?.providerID)?.pool
}
