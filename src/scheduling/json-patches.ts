import type { Pod } from '../model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../model/words.ts'
import { poolToleration } from './decide-overflow.ts'

/** A step that only adds: what admission may do to an object. */
export interface AddStep {
  readonly op: 'add'
  readonly path: string
  readonly value: unknown
}

export type JsonPatchStep =
  | { readonly op: 'add' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }

/**
 * Appends the toleration of the pool, and sets the deletion cost if there is to be one. By JSON Patch, since the list is
 * atomic for every other kind (a merge or an apply would replace it); with tests, so that what was decided about one state
 * of the Pod is not done to another. In one patch, so that nobody ever sees the Pod on a virtual node without its cost: a
 * second patch, after it is bound, may come after the look of a ReplicaSet that is shrinking.
 */
export function sendOutPatch(pod: Pod, pool: string, cost?: number): JsonPatchStep[] {
  const toleration = poolToleration(pool)
  return [
    ...unchanged(pod),
    pod.spec?.tolerations
      ? { op: 'add', path: '/spec/tolerations/-', value: toleration }
      : { op: 'add', path: '/spec/tolerations', value: [toleration] },
    ...(cost === undefined ? [] : costSteps(pod, cost)),
  ]
}

/** Sets the deletion cost, and a mark beside it that says it is ours. */
export function deletionCostPatch(pod: Pod, cost: number): JsonPatchStep[] {
  return [...unchanged(pod), ...costSteps(pod, cost)]
}

/** Takes ours away again, with its mark. */
export function clearCostPatch(pod: Pod): JsonPatchStep[] {
  const keys = [deletionCostAnnotation, deletionCostSetAnnotation]
  return [...unchanged(pod), ...keys.map((key) => ({ op: 'remove', path: annotationPath(key) }) as const)]
}

function costSteps(pod: Pod, cost: number): JsonPatchStep[] {
  const values = { [deletionCostAnnotation]: String(cost), [deletionCostSetAnnotation]: String(cost) }
  if (!pod.metadata?.annotations) return [{ op: 'add', path: '/metadata/annotations', value: values }]
  return Object.entries(values).map(([key, value]) => ({ op: 'add', path: annotationPath(key), value }))
}

function annotationPath(key: string): string {
  return `/metadata/annotations/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** Tests that the Pod is the one that was decided about, in the form that was. */
export function unchanged({ metadata }: Pod): JsonPatchStep[] {
  return [
    { op: 'test', path: '/metadata/uid', value: metadata?.uid },
    { op: 'test', path: '/metadata/resourceVersion', value: metadata?.resourceVersion },
  ]
}
