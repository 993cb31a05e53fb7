import type { KubeObject } from '../model/kubernetes.ts'
import { SpillwayError } from '../model/errors.ts'
import type { ObjectName, Resource, Selection } from './api.ts'

/** As in `v1`, `coordination.k8s.io/v1`. */
export function apiVersionOf(resource: Resource<KubeObject>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

/** Path of all objects, or of those of a namespace. */
export function collectionPath(resource: Resource<KubeObject>, namespace: string | undefined): string {
  const root = resource.group === '' ? '/api' : `/apis/${resource.group}`
  const scope = namespace === undefined ? '' : `namespaces/${encodeURIComponent(namespace)}/`
  return `${root}/${resource.version}/${scope}${resource.plural}`
}

/** Path of one object, or of a subresource. Invalid: the namespace is missing, or given where there is none. */
export function objectPath(
  resource: Resource<KubeObject>,
  { namespace, name }: ObjectName,
  subresource?: string,
): string {
  if (name === '') throw new SpillwayError('Invalid', `${resource.kind}: the name is empty`)
  const path = `${collectionPath(resource, checkedNamespace(resource, namespace))}/${encodeURIComponent(name)}`
  return subresource === undefined ? path : `${path}/${subresource}`
}

/** Where an object is created. */
export function creationPath(resource: Resource<KubeObject>, object: KubeObject): string {
  return collectionPath(resource, checkedNamespace(resource, object.metadata?.namespace))
}

/** The name that an object carries. */
export function nameOf(object: KubeObject): ObjectName {
  const { namespace, name } = object.metadata ?? {}
  return { name: name ?? '', ...(namespace !== undefined && { namespace }) }
}

function checkedNamespace(resource: Resource<KubeObject>, namespace: string | undefined): string | undefined {
  if (resource.namespaced && !namespace) {
    throw new SpillwayError('Invalid', `${resource.kind}: metadata.namespace is missing`)
  }
  return resource.namespaced ? namespace : undefined
}

/** The query of a list or watch, with more parameters added. */
export function selectionQuery(
  selection: Selection,
  more: Readonly<Record<string, string | undefined>>,
): string {
  const query = new URLSearchParams()
  if (selection.labelSelector) query.set('labelSelector', selection.labelSelector)
  if (selection.fieldSelector) query.set('fieldSelector', selection.fieldSelector)
  for (const [name, value] of Object.entries(more)) if (value !== undefined) query.set(name, value)
  return query.size === 0 ? '' : `?${query.toString()}`
}
