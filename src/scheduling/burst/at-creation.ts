import type { Namespace, Pod } from '../../model/kubernetes.ts'
import { virtualNodeType } from '../../model/words.ts'
import { labelsMatch } from '../../lifecycle/label-selector.ts'
import { eligibility } from '../unschedulable.ts'
import { selectedOf } from './accounts.ts'
import { selects, type BurstPolicy } from './burst-policy.ts'

/** All policies in order, and all namespaces. */
export interface PolicyScene {
  readonly policies: readonly BurstPolicy[]
  readonly namespaces: readonly Namespace[]
}

/**
 * Whether Pods of a policy that says Always may be kept off servers as they are created, by an admission policy that sees no
 * other burst policy (deploy/admission/burst-policies.yaml). Only then is it strict: once a Pod is there, its scheduler is
 * faster than any watch, and no server can be taken out of its choice any more. Undefined: it does not say Always.
 */
export function atCreation(
  policy: BurstPolicy,
  { policies, namespaces }: PolicyScene,
): { readonly holds: boolean; readonly because: string } | undefined {
  if (policy.spec.mode !== 'Always') return undefined
  // inOrder has a namespace's own before the cluster's.
  const before = policies.slice(0, policies.indexOf(policy))
  const other = before.find((one) => one.spec.mode !== 'Always' && mayMeet(one, policy, namespaces))
  if (!other) {
    return {
      holds: true,
      because: 'no server is asked about its Pods, where deploy/admission/burst-policies.yaml is applied',
    }
  }
  return {
    holds: false,
    because: `${other.title} counts before it and says ${other.spec.mode}: a server that has room may take its Pods`,
  }
}

/** Whether both may select one Pod, by their namespaces alone. */
function mayMeet(one: BurstPolicy, policy: BurstPolicy, namespaces: readonly Namespace[]): boolean {
  if (one.namespace === undefined) return true
  if (policy.namespace !== undefined) return one.namespace === policy.namespace
  const { namespaceSelector } = policy.spec
  const home = namespaces.find(({ metadata }) => metadata?.name === one.namespace)
  return !namespaceSelector || labelsMatch(namespaceSelector, home?.metadata?.labels)
}

/** The policy that counts for the Pod, if that says Always and no label says otherwise. */
export function alwaysPolicyOf(
  pod: Pod,
  home: Namespace | undefined,
  policies: readonly BurstPolicy[],
): BurstPolicy | undefined {
  const eligible = eligibility(pod, home)
  if (eligible.kind !== 'candidate' || eligible.labelled) return undefined
  const applied = policies.find((policy) => selects(policy, selectedOf(pod), home))
  return applied?.spec.mode === 'Always' ? applied : undefined
}

/** The Pod as that admission policy lets it in. Without a toleration: whether it goes is still its burst policy's to say. */
export function keptOffServers(pod: Pod, home: Namespace | undefined, scene: PolicyScene): Pod {
  const policy = pod.spec?.nodeName ? undefined : alwaysPolicyOf(pod, home, scene.policies)
  if (!pod.spec || !policy || !atCreation(policy, scene)?.holds) return pod
  return { ...pod, spec: { ...pod.spec, nodeSelector: { ...pod.spec.nodeSelector, type: virtualNodeType } } }
}
