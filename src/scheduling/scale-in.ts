import type { BackoffPolicy } from '../control/backoff.ts'
import { runController } from '../control/controller.ts'
import { KeyQueue } from '../control/queue.ts'
import type { KubeApi, Store, StoreChange } from '../kube/api.ts'
import { pods as podResource } from '../kube/resources.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import { deletionCostAnnotation } from '../model/words.ts'
import type { Log } from '../telemetry/log.ts'
import { poolOf } from './cluster-picture.ts'
import { wantsDeletionCost } from './deletion-cost.ts'
import { deletionCostPatch } from './json-patches.ts'

export interface ScaleInOptions {
  readonly api: Pick<KubeApi, 'patch'>
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  /** 32-bit; default -1000. With Karpenter's PodDeletionCostManagement (it writes the same key) -2147483648. */
  readonly cost?: number
  /** Whether a policy leaves the order of this Pod's workload to Kubernetes. Default: none does. */
  readonly isLeftAlone?: (pod: Pod) => boolean
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

export const defaultDeletionCost = -1000

/** Mostly a status update of the Pod's node came between; its next form is here in milliseconds. */
const conflictBackoff: BackoffPolicy = { firstMs: 20, longestMs: 30_000, factor: 3, jitter: 0.2 }

/**
 * Lets Pods on virtual nodes leave first when a ReplicaSet shrinks, by its own annotation for that. Strict among Pods
 * that are equally ready: a ReplicaSet removes unbound, pending and unready Pods before it looks at the cost. Written
 * as soon as the Pod is bound, thus mostly before it is Ready and the cost begins to count. Resolves when aborted.
 */
export async function runScaleIn(options: ScaleInOptions, signal: AbortSignal): Promise<void> {
  const { pods, nodes, clock, random, log } = options
  const queue = new KeyQueue({ clock, concurrency: 8 })
  const consider = (pod: Pod): void => {
    if (wantsDeletionCost(pod, virtualNodeNames(nodes))) queue.add(podRef(pod).uid)
  }
  try {
    await Promise.all([pods.whenSynced(signal), nodes.whenSynced(signal)])
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  const ends = [
    pods.subscribe(({ before, after }) => {
      // Bound now, or freed of a value: any other change of a Pod leaves the answer as it was.
      if (after?.spec?.nodeName && !(before && sameAnswer(before, after))) consider(after)
    }),
    // A virtual node that was not known yet when its first Pod was bound.
    nodes.subscribe(({ before, after }: StoreChange<Node>) => {
      if (after && poolOf(after) !== undefined && !(before && poolOf(before) === poolOf(after))) {
        pods.list().forEach(consider)
      }
    }),
  ]
  pods.list().forEach(consider)
  const reconcile = async (uid: string, signal: AbortSignal): Promise<void> => setCost(options, uid, signal)
  try {
    await runController(
      { name: 'scale-in', queue, reconcile, clock, random, log, backoff: conflictBackoff },
      signal,
    )
  } finally {
    for (const end of ends) end()
  }
}

function sameAnswer(before: Pod, after: Pod): boolean {
  return (
    before.spec?.nodeName === after.spec?.nodeName &&
    before.metadata?.annotations?.[deletionCostAnnotation] ===
      after.metadata?.annotations?.[deletionCostAnnotation]
  )
}

function virtualNodeNames(nodes: Store<Node>): ReadonlySet<string> {
  return new Set(
    nodes.list().flatMap((node) => (poolOf(node) === undefined ? [] : [node.metadata?.name ?? ''])),
  )
}

async function setCost(
  { api, pods, nodes, cost = defaultDeletionCost, isLeftAlone, log }: ScaleInOptions,
  uid: string,
  signal: AbortSignal,
): Promise<void> {
  const pod = pods.byUid(uid)
  if (!pod || !wantsDeletionCost(pod, virtualNodeNames(nodes)) || isLeftAlone?.(pod)) return
  const { namespace, name } = podRef(pod)
  try {
    await api.patch(
      podResource,
      { namespace, name },
      { type: 'json', body: deletionCostPatch(pod, cost) },
      signal,
    )
  } catch (error) {
    if (hasCode(error, 'NotFound')) return
    // The test of the version failed: somebody wrote meanwhile, perhaps a cost of their own. Looked at again.
    if (hasCode(error, 'Invalid')) throw new SpillwayError('Conflict', errorMessage(error), { cause: error })
    throw error
  }
  log.debug({ pod: `${namespace}/${name}`, cost }, 'deletion cost set')
}
