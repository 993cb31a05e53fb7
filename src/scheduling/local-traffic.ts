import type { Pod, Service } from '../model/kubernetes.ts'

/**
 * The first Service that selects the Pod and sends it outside traffic only through the Pod's own node. kube-proxy
 * takes that to mean the node's name, and load balancers leave virtual nodes out, so the Pod would get none.
 */
export function serviceWithLocalTraffic(pod: Pod, services: readonly Service[]): Service | undefined {
  const labels = pod.metadata?.labels ?? {}
  return services.find(({ metadata, spec }) => {
    if (spec?.externalTrafficPolicy !== 'Local') return false
    if (spec.type !== 'LoadBalancer' && spec.type !== 'NodePort') return false
    if (metadata?.namespace !== pod.metadata?.namespace) return false
    const selector = Object.entries(spec.selector ?? {})
    return selector.length > 0 && selector.every(([key, value]) => labels[key] === value)
  })
}
