import type { KubeObject } from './kubernetes.ts'
import type { SpendStatus } from './spend-status.ts'

/** `VirtualNodePool` of spillway.dev/v1alpha1 (deploy/crds). The spec is held to its schema where it is read. */
export interface VirtualNodePool extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: VirtualNodePoolStatus
}

export interface VirtualNodePoolStatus {
  readonly observedGeneration?: number
  /** `clusterName` of the Spillway that has taken it. */
  readonly instance?: string
  readonly replicas?: number
  readonly readyReplicas?: number
  readonly retiringReplicas?: number
  readonly pods?: number
  readonly selector?: string
  readonly budget?: SpendStatus | null
  readonly conditions?: readonly PoolCondition[]
}

export interface PoolCondition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  readonly lastTransitionTime: string
}
