import type { Namespace, Pod, Toleration } from '../model/kubernetes.ts'
import { virtualNodeTaintKey, virtualNodeType } from '../model/words.ts'
import { eligibility } from './unschedulable.ts'

/** Whether the Pod is to be on a virtual node from the start. */
export function wantsVirtual(pod: Pod, namespace: Namespace | undefined): boolean {
  const eligible = eligibility(pod, namespace)
  return eligible.kind === 'candidate' && eligible.placement === 'virtual'
}

const anyVirtualNode: Toleration = { key: virtualNodeTaintKey, operator: 'Exists', effect: 'NoSchedule' }

/** The Pod as the admission policy of deploy/admission/placement.yaml lets it in. */
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
