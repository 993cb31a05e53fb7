import { atCreation } from './burst/at-creation.ts'
import type { BurstPolicy } from './burst/burst-policy.ts'
import { unknownPools } from './burst/burst-status.ts'
import type { ClusterFacts, Finding } from './check-cluster.ts'

/** What burst policies say that this cluster does not do. */
export function checkBurstPolicies(facts: ClusterFacts): readonly Finding[] {
  const { bursts = [], pools } = facts
  const names = pools.map(({ name }) => name)
  return bursts.flatMap((policy): readonly Finding[] => {
    const { title, spec, problems } = policy
    if (problems.length > 0) {
      const finding = `${title} cannot be read, and keeps on servers what it selects: ${problems[0]}`
      return [{ level: 'problem', finding, remedy: 'kubectl apply -f deploy/crds, and write it anew' }]
    }
    const unknown = unknownPools(spec.pools, names)
    const finding = `${title} names pools that are not there: ${unknown.join(', ')}`
    const remedy = `there are: ${names.join(', ') || 'none'}`
    return [
      ...(unknown.length > 0 ? [{ level: 'problem' as const, finding, remedy }] : []),
      ...notFromTheStart(policy, facts),
    ]
  })
}

/** A server that has room takes a Pod before anybody asks its policy, unless the API server keeps it off servers. */
function notFromTheStart(policy: BurstPolicy, facts: ClusterFacts): readonly Finding[] {
  const { bursts: policies = [], namespaces, admission } = facts
  const always = atCreation(policy, { policies, namespaces })
  if (!always || (always.holds && admission.always)) return []
  const finding = always.holds
    ? `${policy.title} says Always, and counts only once no server has room`
    : `${policy.title} says Always, but ${always.because}`
  const remedy = always.holds
    ? 'kubectl apply -f deploy/admission/burst-policies.yaml (Kubernetes 1.36 and newer), or give its Pods the label spillway.dev/placement: virtual'
    : 'give its Pods the label spillway.dev/placement: virtual, or its own selector more requirements'
  return [{ level: 'note', finding, remedy }]
}
