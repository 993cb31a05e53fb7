import type { Pod } from '../model/kubernetes.ts'

/** The Kubernetes Event that people see in `kubectl describe pod`. */
export type PodEventSink = (pod: Pod, event: PodEvent) => void

export interface PodEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
  /** As in `spec.containers{web}`; absent when the whole Pod is meant. */
  readonly fieldPath?: string
}
