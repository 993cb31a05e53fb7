import type { BackoffPolicy } from '../control/backoff.ts'
import { runController } from '../control/controller.ts'
import { KeyQueue } from '../control/queue.ts'
import type { KubeApi, Store, StoreChange } from '../kube/api.ts'
import { pods as podResource } from '../kube/resources.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../model/words.ts'
import type { Log } from '../telemetry/log.ts'
import { poolOf } from './cluster-picture.ts'
import { costStep, type PodPlace, type ScaleInOrder } from './deletion-cost.ts'
import { clearCostPatch, deletionCostPatch } from './json-patches.ts'

export interface ScaleInOptions {
  readonly api: Pick<KubeApi, 'patch'>
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  /** 32-bit; default -1000. With Karpenter's PodDeletionCostManagement (it writes the same key) -2147483648. */
  readonly cost?: number
  /** As the Pod's policy has it; undefined: not known yet. Default: VirtualFirst for all. */
  readonly orderOf?: (pod: Pod) => ScaleInOrder | undefined
  /** Calls back when that may have changed. Returns the end of the subscription. */
  readonly onOrder?: (listener: () => void) => () => void
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
 * that are equally ready: a ReplicaSet removes unbound, pending and unready Pods before it looks at the cost. Overflow
 * writes it as it lets a Pod out; here it is written into Pods that came by a toleration of their own, as soon as they are
 * bound, and taken away from those that a server took. Resolves when aborted.
 */
export async function runScaleIn(options: ScaleInOptions, signal: AbortSignal): Promise<void> {
  const { pods, nodes, onOrder, clock, random, log } = options
  const queue = new KeyQueue({ clock, concurrency: 8 })
  const consider = (pod: Pod): void => {
    if (stepFor(pod, options) !== undefined) queue.add(podRef(pod).uid)
  }
  const considerAll = (): void => pods.list().forEach(consider)
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
    // A node that was not known yet when its first Pod was bound.
    nodes.subscribe(({ before, after }: StoreChange<Node>) => {
      if (after && !(before && poolOf(before) === poolOf(after))) considerAll()
    }),
    ...(onOrder ? [onOrder(considerAll)] : []),
  ]
  considerAll()
  const reconcile = async (uid: string, signal: AbortSignal): Promise<void> =>
    settleCost(options, uid, signal)
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
    [deletionCostAnnotation, deletionCostSetAnnotation].every(
      (key) => before.metadata?.annotations?.[key] === after.metadata?.annotations?.[key],
    )
  )
}

/** Undefined also while its policy is not known: written then, a cost could be one that nobody wants. */
function stepFor(
  pod: Pod,
  { nodes, orderOf }: Pick<ScaleInOptions, 'nodes' | 'orderOf'>,
): ReturnType<typeof costStep> {
  if (!pod.spec?.nodeName) return undefined
  const place = placeOf(pod.spec.nodeName, nodes)
  // Policies are asked only about Pods for which it makes a difference.
  const either = costStep(pod, place, 'VirtualFirst') ?? costStep(pod, place, 'None')
  const order = either && (orderOf ? orderOf(pod) : 'VirtualFirst')
  return order && costStep(pod, place, order)
}

function placeOf(nodeName: string, nodes: Store<Node>): PodPlace {
  const node = nodes.get({ name: nodeName })
  if (!node) return 'unknown'
  return poolOf(node) === undefined ? 'server' : 'virtual'
}

async function settleCost(options: ScaleInOptions, uid: string, signal: AbortSignal): Promise<void> {
  const { api, pods, cost = defaultDeletionCost, log } = options
  const pod = pods.byUid(uid)
  const step = pod && stepFor(pod, options)
  if (!step) return
  const { namespace, name } = podRef(pod)
  const body = step === 'set' ? deletionCostPatch(pod, cost) : clearCostPatch(pod)
  try {
    await api.patch(podResource, { namespace, name }, { type: 'json', body }, signal)
  } catch (error) {
    if (hasCode(error, 'NotFound')) return
    // The test of the version failed: somebody wrote meanwhile, perhaps a cost of their own. Looked at again.
    if (hasCode(error, 'Invalid')) throw new SpillwayError('Conflict', errorMessage(error), { cause: error })
    throw error
  }
  log.debug({ pod: `${namespace}/${name}`, step, cost }, 'deletion cost settled')
}
