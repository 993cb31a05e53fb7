import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { KubeApi, Resource } from '../kube/api.ts'
import { mutatingAdmissionPolicies } from '../kube/resources.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { ensureObject } from './ensure-object.ts'

const folder = join(import.meta.dirname, '../../deploy/admission')

const bindings: Resource<KubeObject> = {
  ...mutatingAdmissionPolicies,
  plural: 'mutatingadmissionpolicybindings',
  kind: 'MutatingAdmissionPolicyBinding',
}

const kinds = new Map([mutatingAdmissionPolicies, bindings].map((resource) => [resource.kind, resource]))

/** Applies deploy/admission, as people do on a cluster of theirs. */
export async function publishAdmissionPolicies(client: KubeApi, signal: AbortSignal): Promise<void> {
  for (const file of await readdir(folder)) {
    for (const document of parseAllDocuments(await readFile(join(folder, file), 'utf8'))) {
      const object = document.toJS() as KubeObject
      const resource = kinds.get(object.kind ?? '')
      if (!resource) throw new Error(`${file} has an object of an unexpected kind: ${object.kind}`)
      await ensureObject(client, resource, object, signal)
    }
  }
}
