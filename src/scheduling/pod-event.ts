import type { Pod } from '../model/kubernetes.ts'

/** An Event on a Pod. `reason` is CamelCase, `message` a sentence for people. */
export interface PodEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

/** Where events go; never rejects and never waits, because an event that is lost changes nothing. */
export type ReportPodEvent = (pod: Pod, event: PodEvent) => void
