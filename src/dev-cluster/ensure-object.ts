import type { KubeApi, ObjectName, Resource } from '../kube/api.ts'
import { hasCode } from '../model/errors.ts'
import type { KubeObject } from '../model/kubernetes.ts'

/** Creates the object, or merges it into the one of that name: what was written by hand beside it stays. */
export async function ensureObject<T extends KubeObject>(
  client: KubeApi,
  resource: Resource<T>,
  object: T,
  signal: AbortSignal,
): Promise<void> {
  const { name = '', namespace } = object.metadata ?? {}
  const target = namespace === undefined ? { name } : { namespace, name }
  if (await exists(client, resource, target, signal)) {
    await client.patch(resource, target, { type: 'merge', body: object }, signal)
  } else {
    await client.create(resource, object, signal)
  }
}

// Asked for, not found out by creating it: a Service with a fixed address that exists is refused as Invalid (the address
// is taken), not as a Conflict.
async function exists<T extends KubeObject>(
  client: KubeApi,
  resource: Resource<T>,
  target: ObjectName,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await client.get(resource, target, signal)
    return true
  } catch (error) {
    if (hasCode(error, 'NotFound')) return false
    throw error
  }
}
