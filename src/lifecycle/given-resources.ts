import type { Container, Pod, ResourceRequirements } from '../model/kubernetes.ts'
import { parseBytes } from '../model/quantity.ts'

/**
 * What a container is given when it is created: its own requests and limits, with the limit of the Pod as a whole where
 * it states none (pkg/kubelet/util GetLimits).
 */
export function givenResources(pod: Pod, { resources }: Pick<Container, 'resources'>): ResourceRequirements {
  const whole = pod.spec?.resources?.limits ?? {}
  const limits: Record<string, string> = { ...resources?.limits }
  for (const name of ['cpu', 'memory']) {
    const stated = whole[name]
    if (isZero(limits[name]) && stated !== undefined && !isZero(stated)) limits[name] = stated
  }
  return { ...(resources?.requests && { requests: resources.requests }), limits }
}

function isZero(quantity: string | undefined): boolean {
  return parseBytes(quantity ?? '0') === 0n
}
