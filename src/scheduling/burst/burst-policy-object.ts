import type { BurstPolicyKind } from '../../config/burst-policy.ts'
import { customResourceGroup, customResourceVersion } from '../../config/custom-resource.ts'
import type { Resource } from '../../kube/api.ts'
import type { KubeObject } from '../../model/kubernetes.ts'
import type { SpendStatus } from '../../model/spend-status.ts'

/** A BurstPolicy or ClusterBurstPolicy as the API server hands it over. Its spec is read by compileBurstSpec. */
export interface BurstPolicyObject extends KubeObject {
  readonly spec?: unknown
  readonly status?: BurstPolicyStatus
}

export interface BurstPolicyStatus {
  readonly observedGeneration?: number
  readonly workloads?: number
  readonly pods?: number
  readonly virtualPods?: number
  readonly heldPods?: number
  readonly spend?: SpendStatus | null
  readonly conditions?: readonly BurstCondition[]
}

export interface BurstCondition {
  readonly type: string
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  readonly lastTransitionTime: string
}

const group = { group: customResourceGroup, version: customResourceVersion }

export const burstPolicies: Resource<BurstPolicyObject> = {
  ...group,
  plural: 'burstpolicies',
  kind: 'BurstPolicy',
  namespaced: true,
}

export const clusterBurstPolicies: Resource<BurstPolicyObject> = {
  ...group,
  plural: 'clusterburstpolicies',
  kind: 'ClusterBurstPolicy',
  namespaced: false,
}

export const burstResources: Readonly<Record<BurstPolicyKind, Resource<BurstPolicyObject>>> = {
  BurstPolicy: burstPolicies,
  ClusterBurstPolicy: clusterBurstPolicies,
}
