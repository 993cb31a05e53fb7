import { runController } from '../control/controller.ts'
import { KeyQueue } from '../control/queue.ts'
import type { Store } from '../kube/api.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import type { Clock } from '../model/clock.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import { podRef, type PodUid } from '../model/pod-key.ts'
import { parseProviderId } from '../model/virtual-node-name.ts'
import { forceDeleteAnnotation } from '../model/words.ts'
import type { Log } from '../telemetry/log.ts'
import { drainPods, mustBeDrained, type DrainOptions } from './drain-pods.ts'

export interface DrainDeletedNodesOptions {
  readonly api: DrainOptions['api']
  readonly nodes: Store<Node>
  readonly podsOn: (node: string) => readonly Pod[]
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** Until a PodDisruptionBudget allows one more. */
const againMs = 1_000

/**
 * Evicts the Pods that were on a virtual Node when somebody deleted it by force. The Node is made anew at once, since its
 * pool wants it: those Pods would stay there otherwise, and a finalizer that holds the Node until they are gone would keep
 * it for ever where Spillway has been uninstalled. Which Pods they are is known to this process alone. Resolves when aborted.
 */
export async function drainDeletedNodes(
  { api, nodes, podsOn, clock, random, log }: DrainDeletedNodesOptions,
  signal: AbortSignal,
): Promise<void> {
  const left = new Map<string, ReadonlySet<PodUid>>()
  const queue = new KeyQueue({ clock, concurrency: 1 })
  const end = nodes.subscribe(({ before, after }) => {
    const name = before?.metadata?.name
    if (!before || name === undefined || before.metadata?.uid === after?.metadata?.uid) return
    if (!parseProviderId(before.spec?.providerID) || !isForced(before)) return
    left.set(name, new Set(podsOn(name).map((pod) => podRef(pod).uid)))
    queue.add(name)
  })
  const reconcile = async (name: string, inner: AbortSignal): Promise<{ afterMs?: number }> => {
    const pods = podsOn(name).filter(
      (pod) => left.get(name)?.has(podRef(pod).uid) && mustBeDrained(pod) && !isTerminal(pod),
    )
    if (pods.length === 0) {
      left.delete(name)
      return {}
    }
    const blocked = await drainPods({ api, pods, by: 'eviction' }, inner)
    log.info({ node: name, pods: pods.length, blocked }, 'its Node was deleted by force: Pods are evicted')
    return { afterMs: againMs }
  }
  try {
    await runController({ name: 'deleted-nodes', queue, reconcile, clock, random, log }, signal)
  } finally {
    end()
  }
}

function isForced({ metadata }: Node): boolean {
  return metadata?.annotations?.[forceDeleteAnnotation] === 'true'
}
