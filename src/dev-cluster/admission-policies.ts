import type { KubeApi, Resource } from '../kube/api.ts'
import { mutatingAdmissionPolicies } from '../kube/resources.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { publishFolder } from './publish-folder.ts'

function alike(kind: string): Resource<KubeObject> {
  // Plurals of these kinds only differ in their ends.
  const plural = `${kind.toLowerCase().replace(/y$/, 'ie')}s`
  return { ...mutatingAdmissionPolicies, kind, plural }
}

const kinds = [
  mutatingAdmissionPolicies,
  ...['MutatingAdmissionPolicyBinding', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'].map(
    alike,
  ),
]

export async function publishAdmissionPolicies(client: KubeApi, signal: AbortSignal): Promise<void> {
  await publishFolder(client, 'admission', kinds, signal)
}
