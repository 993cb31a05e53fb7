import { reconcile, type ReconcileRow } from '../billing/reconcile.ts'
import { superviseTask, type Task } from '../control/tasks.ts'
import { pods } from '../kube/resources.ts'
import { hasCode } from '../model/errors.ts'
import { asPodUid } from '../model/pod-key.ts'
import type { BackendStack } from './backend-stack.ts'
import type { House } from './house.ts'
import type { VirtualNodes } from './virtual-nodes.ts'

// As slow to believe as the sweep of orphans.
const sweepMs = 30_000
// What only is under way is done by then.
const settleMs = 2_000

/** API server, backends and ledger beside each other. Rejects when one of them cannot be asked: nothing is known then. */
async function compareAll(
  { ledger }: House,
  stacks: readonly BackendStack[],
  virtualNodes: VirtualNodes,
  signal: AbortSignal,
): Promise<ReconcileRow[]> {
  // The ledger first: what begins meanwhile is then not missed by those who are asked later.
  const open = await ledger.openIntervals(signal)
  const lists = await Promise.all(stacks.map(({ backend }) => backend.list(signal)))
  const api = stacks.flatMap((stack) => virtualNodes.names.flatMap((node) => stack.pods.podsOn(node)))
  return reconcile({ api, backend: lists.flat(), open })
}

/** For `spillway ledger reconcile`. What is only under way is not a difference: looked at again, it is gone. */
export function reconciler(
  house: House,
  stacks: readonly BackendStack[],
  virtualNodes: VirtualNodes,
): (signal: AbortSignal) => Promise<ReconcileRow[]> {
  return async (signal) => {
    const first = await compareAll(house, stacks, virtualNodes, signal)
    if (first.every(({ agrees }) => agrees)) return first
    await house.world.clock.sleep(settleMs, signal)
    return await compareAll(house, stacks, virtualNodes, signal)
  }
}

/**
 * Closes what is billed and that neither the API server nor a backend knows any more: its object and its evidence went
 * while nothing of ours ran, so that nobody is told of it, and it would be billed for ever. The other cases have those who
 * see to them. Closed wrongly, it would be no more than an estimate, which an end that is known takes the place of.
 */
export function reconcileTask(
  house: House,
  stacks: readonly BackendStack[],
  virtualNodes: VirtualNodes,
): Task {
  const { cluster, meter, world } = house
  const { clock, log, random } = world
  let suspects = new Set<string>()
  const sweep = async (signal: AbortSignal): Promise<void> => {
    const rows = await compareAll(house, stacks, virtualNodes, signal)
    const gone = rows.filter(({ case: what }) => what === 'billed, gone everywhere')
    for (const { namespace, pod: name, podUid } of gone.filter((row) => suspects.has(row.podUid))) {
      if (await isAlive(podUid, { namespace, name }, signal)) continue
      log.warn({ pod: podUid, namespace, name }, 'billed, and known to nobody: closed where it was last seen')
      await meter.closeLost(asPodUid(podUid), signal)
    }
    suspects = new Set(gone.map(({ podUid }) => podUid))
  }
  const isAlive = async (
    uid: string,
    target: { readonly namespace: string; readonly name: string },
    signal: AbortSignal,
  ): Promise<boolean> => {
    try {
      return (await cluster.api.get(pods, target, signal)).metadata?.uid === uid
    } catch (error) {
      if (hasCode(error, 'NotFound')) return false
      throw error
    }
  }
  return (signal) =>
    superviseTask(
      { name: 'comparison of the ledger', clock, random, log },
      async (inner) => {
        while (!inner.aborted) {
          await clock.sleep(sweepMs, inner)
          await sweep(inner)
        }
      },
      signal,
    )
}
