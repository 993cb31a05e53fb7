import type { KubeApi, Resource } from '../kube/api.ts'
import { mutatingAdmissionPolicies } from '../kube/resources.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { publishFolder } from './publish-folder.ts'

const bindings: Resource<KubeObject> = {
  ...mutatingAdmissionPolicies,
  plural: 'mutatingadmissionpolicybindings',
  kind: 'MutatingAdmissionPolicyBinding',
}

export async function publishAdmissionPolicies(client: KubeApi, signal: AbortSignal): Promise<void> {
  await publishFolder(client, 'admission', [mutatingAdmissionPolicies, bindings], signal)
}
