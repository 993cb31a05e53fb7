import type { KubeApi } from '../kube/api.ts'
import { requestEviction } from '../kube/eviction.ts'
import { pods as podResource } from '../kube/resources.ts'
import { controllerOf } from '../model/controller-of.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'

export interface DrainOptions {
  readonly api: Pick<KubeApi, 'createSubresource' | 'delete'>
  readonly pods: readonly Pod[]
  /** `delete` asks no PodDisruptionBudget. */
  readonly by: 'eviction' | 'delete'
}

/** Asked at once; the API server counts disruptions one by one anyway. */
const atOnce = 16

/**
 * Asks for the end of each Pod that nobody has asked for yet. Answers what stands in the way, a sentence each; the next
 * pass asks again. Rejects with what the API server answers otherwise.
 */
export async function drainPods(
  { api, pods, by }: DrainOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const running = pods.filter(({ metadata }) => !metadata?.deletionTimestamp)
  const blocked: string[] = []
  for (let from = 0; from < running.length; from += atOnce) {
    const some = running.slice(from, from + atOnce)
    const answers = await Promise.all(
      some.map((pod) => (by === 'eviction' ? evictPod(api, pod, signal) : deletePod(api, pod, signal))),
    )
    blocked.push(...answers.filter((answer) => answer !== undefined))
  }
  return blocked
}

/** A DaemonSet would make the Pod anew on the same node: it goes with the node, as with kubectl drain. */
export function mustBeDrained(pod: Pod): boolean {
  return controllerOf(pod)?.kind !== 'DaemonSet'
}

async function evictPod(
  api: DrainOptions['api'],
  pod: Pod,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { namespace, name } = podRef(pod)
  const blocked = (why: string): string => `Pod ${namespace}/${name}: ${why}`
  try {
    const why = await requestEviction(api, pod, { dryRun: false }, signal)
    return why === undefined ? undefined : blocked(why)
  } catch (error) {
    // 429: a PodDisruptionBudget does not allow it now.
    if (hasCode(error, 'Busy')) return blocked(errorMessage(error))
    return ignoreGone(error)
  }
}

async function deletePod(api: DrainOptions['api'], pod: Pod, signal: AbortSignal): Promise<undefined> {
  const { uid, namespace, name } = podRef(pod)
  try {
    await api.delete(podResource, { namespace, name }, { uid }, signal)
  } catch (error) {
    return ignoreGone(error)
  }
}

/** Gone, or another Pod of that name. */
function ignoreGone(error: unknown): undefined {
  if (!hasCode(error, 'NotFound') && !hasCode(error, 'Conflict')) throw error
}
