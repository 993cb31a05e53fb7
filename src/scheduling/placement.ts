import type { Namespace, Pod, Toleration } from '../model/kubernetes.ts'
import { virtualNodeTaintKey, virtualNodeType } from '../model/words.ts'
import type { AddStep } from './json-patches.ts'
import { eligibility } from './unschedulable.ts'

/** Whether the Pod is to be on a virtual node from the start. */
export function wantsVirtual(pod: Pod, namespace: Namespace | undefined): boolean {
  const eligible = eligibility(pod, namespace)
  return eligible.kind === 'candidate' && eligible.placement === 'virtual'
}

const anyVirtualNode: Toleration = { key: virtualNodeTaintKey, operator: 'Exists', effect: 'NoSchedule' }

/** The Pod as the admission policy of deploy/admission/placement.yaml lets it in, and the webhook on older API servers. */
export function withPlacement(pod: Pod, namespace: Namespace | undefined): Pod {
  const { spec } = pod
  if (!spec || spec.nodeName || !wantsVirtual(pod, namespace)) return pod
  const { tolerations = [], nodeSelector = {} } = spec
  const isTolerant = tolerations.some(({ key }) => key === virtualNodeTaintKey)
  return {
    ...pod,
    spec: {
      ...spec,
      tolerations: isTolerant ? tolerations : [...tolerations, anyVirtualNode],
      nodeSelector: { ...nodeSelector, type: virtualNodeType },
    },
  }
}

/**
 * The same as a patch, for the webhook. Only what is new is in it: what goes through us could lose what we cannot hold,
 * as the 64 bits of a toleration's seconds.
 */
export function placementPatch(pod: Pod, namespace: Namespace | undefined): readonly AddStep[] {
  const placed = withPlacement(pod, namespace)
  if (placed === pod) return []
  const { tolerations, nodeSelector } = pod.spec ?? {}
  const grows = (placed.spec?.tolerations ?? []).length > (tolerations ?? []).length
  return [
    ...(grows && !tolerations ? [add('/spec/tolerations', [])] : []),
    ...(grows ? [add('/spec/tolerations/-', anyVirtualNode)] : []),
    ...(nodeSelector ? [] : [add('/spec/nodeSelector', {})]),
    add('/spec/nodeSelector/type', virtualNodeType),
  ]
}

function add(path: string, value: unknown): AddStep {
  return { op: 'add', path, value }
}
