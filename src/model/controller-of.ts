import type { OwnerReference, Pod } from './kubernetes.ts'

/** The object that made the Pod and keeps it; undefined: nobody does. */
export function controllerOf({ metadata }: Pick<Pod, 'metadata'>): OwnerReference | undefined {
  return metadata?.ownerReferences?.find(({ controller }) => controller)
}
