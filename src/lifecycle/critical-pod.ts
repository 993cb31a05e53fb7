import type { Pod } from '../model/kubernetes.ts'

/** From here on a Pod is critical to the system: `system-cluster-critical` (pkg/apis/scheduling). */
const criticalPriority = 2_000_000_000

/** Such Pods a node takes even when it is short of something, and never ends for it. */
export function isCritical({ spec }: Pod): boolean {
  return (spec?.priority ?? 0) >= criticalPriority
}
