import type { KubeApi } from '../../kube/api.ts'
import type { Clock } from '../../model/clock.ts'
import type { Pod } from '../../model/kubernetes.ts'
import type { Output } from '../output.ts'
import type { Claims } from './claims.ts'
import type { KubectlResult } from './kubectl.ts'
import type { PodTimeline } from './pod-timeline.ts'

/** Where the story is played: the embedded cluster, or a control plane with simulated containers. */
export interface Stage {
  readonly api: KubeApi
  readonly namespace: string
  readonly pool: string
  readonly serverNode: string
  /** No containers: nothing to exec into, no traffic. */
  readonly simulated: boolean
  readonly clock: Clock
  readonly output: Output
  readonly claims: Claims
  readonly signal: AbortSignal
  kubectl(args: readonly string[]): Promise<KubectlResult>
  /** The Pods of the demo's namespace, live. */
  pods(): readonly Pod[]
  timelines(): readonly PodTimeline[]
  /** What this machine still holds of a Pod: processes, network namespace, mounts, cgroup. Empty when all is returned. */
  traces(pod: Pod): Promise<readonly string[]>
  admin(path: string, query: Readonly<Record<string, string>>): Promise<unknown>
}

/** Polls until it holds or the time is up; true when it held. Progress is what `describe` says, on a terminal. */
export async function until(
  { clock, signal }: Pick<Stage, 'clock' | 'signal'>,
  { timeoutMs, pollMs = 50 }: { readonly timeoutMs: number; readonly pollMs?: number },
  holds: () => boolean | Promise<boolean>,
): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + timeoutMs
  for (;;) {
    if (await holds()) return true
    if (clock.monotonicMs() >= deadlineMs) return false
    await clock.sleep(pollMs, signal)
  }
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

export function webPods(stage: Pick<Stage, 'pods'>): readonly Pod[] {
  return stage
    .pods()
    .filter(({ metadata }) => metadata?.labels?.['app'] === 'web' && !metadata.deletionTimestamp)
}

export function isVirtual({ serverNode }: Pick<Stage, 'serverNode'>, pod: Pod): boolean {
  return Boolean(pod.spec?.nodeName) && pod.spec?.nodeName !== serverNode
}
