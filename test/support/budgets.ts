import type { Resource } from '../../src/kube/api.ts'
import type { KubeObject } from '../../src/model/kubernetes.ts'

export interface PodDisruptionBudget extends KubeObject {
  readonly spec: { readonly minAvailable: number; readonly selector: object }
  readonly status?: { readonly expectedPods?: number; readonly currentHealthy?: number }
}

export const budgets: Resource<PodDisruptionBudget> = {
  group: 'policy',
  version: 'v1',
  plural: 'poddisruptionbudgets',
  kind: 'PodDisruptionBudget',
  namespaced: true,
}

/** Of the Pods with that label `app`, or of all of the namespace. */
export function budget(
  at: { readonly namespace: string; readonly name: string },
  minAvailable: number,
  app?: string,
): PodDisruptionBudget {
  const selector = app === undefined ? {} : { matchLabels: { app } }
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: at,
    spec: { minAvailable, selector },
  }
}
