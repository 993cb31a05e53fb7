import type { KubeApi } from '../kube/api.ts'
import { pods } from '../kube/resources.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { KubeObject, Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'

interface Eviction extends KubeObject {
  readonly deleteOptions: {
    readonly dryRun: readonly string[]
    readonly preconditions: { readonly uid: string }
  }
}

/**
 * Asks the API server whether the Pod could be evicted now, without doing it: a ReplicaSet that removes a Pod asks no
 * PodDisruptionBudget. Undefined: it could. Also why we may not even ask.
 */
export async function whyNotEvictable(
  api: Pick<KubeApi, 'createSubresource'>,
  pod: Pod,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { namespace, name, uid } = podRef(pod)
  const eviction: Eviction = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { namespace, name },
    deleteOptions: { dryRun: ['All'], preconditions: { uid } },
  }
  try {
    const answer: KubeObject & { readonly status?: unknown; readonly message?: string } =
      await api.createSubresource(pods, { namespace, name }, 'eviction', eviction, signal)
    // Two budgets for one Pod: the refusal comes as an answer of success.
    return answer.status === 'Failure' ? (answer.message ?? 'it may not be evicted') : undefined
  } catch (error) {
    if (hasCode(error, 'Busy') || hasCode(error, 'Forbidden')) return errorMessage(error)
    throw error
  }
}
