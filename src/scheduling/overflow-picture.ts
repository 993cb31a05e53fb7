import type { Pod } from '../model/kubernetes.ts'
import { burstPictureOf, withBurstPod } from './burst/burst-picture.ts'
import { pictureOf, type ClusterObjects, type ClusterPicture } from './cluster-picture.ts'
import { isUnschedulable } from './unschedulable.ts'
import { withSentPods, withToleration, type OverflowRules } from './decide-overflow.ts'

export interface PictureOptions {
  /** By refusedPods: what may go already takes room. */
  readonly refused: readonly Pod[]
  readonly rules: OverflowRules
  readonly nowWallMs: number
}

/** Those that the scheduler has refused, in the order in which they are decided: as its queue, priority first, then age. */
export function refusedPods(pods: readonly Pod[]): readonly Pod[] {
  return pods.filter(isUnschedulable).sort(byUrgency)
}

function byUrgency(a: Pod, b: Pod): number {
  const byPriority = (b.spec?.priority ?? 0) - (a.spec?.priority ?? 0)
  if (byPriority !== 0) return byPriority
  return (a.metadata?.creationTimestamp ?? '').localeCompare(b.metadata?.creationTimestamp ?? '')
}

/** The cluster as a Pod is judged by it: of who sends Pods out, and of who explains it. */
export function overflowPicture(
  objects: ClusterObjects,
  { refused, rules, nowWallMs }: PictureOptions,
): ClusterPicture {
  const picture = withSentPods(pictureOf(objects), refused)
  if (!rules.bursts) return picture
  const { pods, nodes } = objects
  const { namespaces } = picture
  const burstObjects = { pods, nodes, namespaces, pools: rules.pools, nowMs: nowWallMs }
  return { ...picture, bursts: burstPictureOf(rules.bursts.facts(), burstObjects) }
}

/** The same after the Pod was let out to that pool. */
export function withSentPod(
  picture: ClusterPicture,
  { pod, pool }: { readonly pod: Pod; readonly pool: string },
  { rules, nowWallMs }: Pick<PictureOptions, 'rules' | 'nowWallMs'>,
): ClusterPicture {
  const after = withSentPods(picture, [withToleration(pod, pool)])
  if (!after.bursts) return after
  const rate = rules.pools.find(({ name }) => name === pool)?.rate?.(pod, nowWallMs)
  const home = picture.namespaces.get(pod.metadata?.namespace ?? '')
  return { ...after, bursts: withBurstPod(after.bursts, pod, { pool, rate, home, nowMs: nowWallMs }) }
}
