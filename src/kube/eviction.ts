import type { KubeObject, Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import type { KubeApi } from './api.ts'
import { pods } from './resources.ts'

interface Eviction extends KubeObject {
  readonly deleteOptions: {
    readonly dryRun?: readonly string[]
    readonly preconditions: { readonly uid: string }
  }
}

/**
 * Asks for the end of this very Pod, as far as PodDisruptionBudgets allow it; with `dryRun` only whether they do. Answers
 * why not where the API server says so in an answer of success; rejects with Busy where a budget has no room now.
 */
export async function requestEviction(
  api: Pick<KubeApi, 'createSubresource'>,
  pod: Pod,
  { dryRun }: { readonly dryRun: boolean },
  signal: AbortSignal,
): Promise<string | undefined> {
  const { namespace, name, uid } = podRef(pod)
  const eviction: Eviction = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { namespace, name },
    deleteOptions: { ...(dryRun && { dryRun: ['All'] }), preconditions: { uid } },
  }
  const answer: KubeObject & { readonly status?: unknown; readonly message?: string } =
    await api.createSubresource(pods, { namespace, name }, 'eviction', eviction, signal)
  // Two budgets for one Pod: the refusal comes as an answer of success.
  return answer.status === 'Failure' ? (answer.message ?? 'it may not be evicted') : undefined
}
