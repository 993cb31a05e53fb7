import type { KubeApi } from '../kube/api.ts'
import { mutatingAdmissionPolicies } from '../kube/resources.ts'
import { hasCode } from '../model/errors.ts'

/** Whether one of our admission policies is there; older API servers do not serve the kind at all. */
export async function hasPolicy(api: KubeApi, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    await api.get(mutatingAdmissionPolicies, { name }, signal)
    return true
  } catch (error) {
    if (hasCode(error, 'NotFound') || hasCode(error, 'Forbidden')) return false
    throw error
  }
}
