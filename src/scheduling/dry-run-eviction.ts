import type { KubeApi } from '../kube/api.ts'
import { requestEviction } from '../kube/eviction.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'

/**
 * Asks the API server whether the Pod could be evicted now, without doing it: a ReplicaSet that removes a Pod asks no
 * PodDisruptionBudget. Undefined: it could. Also why we may not even ask.
 */
export async function whyNotEvictable(
  api: Pick<KubeApi, 'createSubresource'>,
  pod: Pod,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return await requestEviction(api, pod, { dryRun: true }, signal)
  } catch (error) {
    if (hasCode(error, 'Busy') || hasCode(error, 'Forbidden')) return errorMessage(error)
    throw error
  }
}
