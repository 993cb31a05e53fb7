import type { Pod } from '../model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../model/words.ts'
import { poolToleration } from './decide-overflow.ts'

/** A step that only adds: what admission may do to an object. */
export interface AddStep {
  readonly op: 'add'
  readonly path: string
  readonly value: unknown
}

export interface JsonPatchStep {
  readonly op: 'add' | 'test'
  readonly path: string
  readonly value: unknown
}

/**
 * Appends the toleration of the pool. By JSON Patch, since the list is atomic for every other kind (a merge or an apply
 * would replace it); with tests, so that what was decided about one state of the Pod is not done to another.
 */
export function tolerationPatch(pod: Pod, pool: string): JsonPatchStep[] {
  const toleration = poolToleration(pool)
  return [
    ...unchanged(pod),
    pod.spec?.tolerations
      ? { op: 'add', path: '/spec/tolerations/-', value: toleration }
      : { op: 'add', path: '/spec/tolerations', value: [toleration] },
  ]
}

/** Sets the deletion cost, and a mark beside it that says it is ours. */
export function deletionCostPatch(pod: Pod, cost: number): JsonPatchStep[] {
  const values = { [deletionCostAnnotation]: String(cost), [deletionCostSetAnnotation]: String(cost) }
  if (!pod.metadata?.annotations) {
    return [...unchanged(pod), { op: 'add', path: '/metadata/annotations', value: values }]
  }
  const steps = Object.entries(values).map(([key, value]): JsonPatchStep => {
    return {
      op: 'add',
      path: `/metadata/annotations/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`,
      value,
    }
  })
  return [...unchanged(pod), ...steps]
}

/** Tests that the Pod is the one that was decided about, in the form that was. */
export function unchanged({ metadata }: Pod): JsonPatchStep[] {
  return [
    { op: 'test', path: '/metadata/uid', value: metadata?.uid },
    { op: 'test', path: '/metadata/resourceVersion', value: metadata?.resourceVersion },
  ]
}
