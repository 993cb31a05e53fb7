import type { KubeApi, Resource } from '../kube/api.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { hasCode } from '../model/errors.ts'

/** Creates the object, or merges it into the one of that name: what was written by hand beside it stays. */
export async function ensureObject<T extends KubeObject>(
  client: KubeApi,
  resource: Resource<T>,
  object: T,
  signal: AbortSignal,
): Promise<T> {
  try {
    return await client.create(resource, object, signal)
  } catch (error) {
    if (!hasCode(error, 'Conflict')) throw error
    const { name = '', namespace } = object.metadata ?? {}
    const target = namespace === undefined ? { name } : { namespace, name }
    return client.patch(resource, target, { type: 'merge', body: object }, signal)
  }
}
