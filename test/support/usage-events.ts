import { asPodUid } from '../../src/model/pod-key.ts'
import type { Spec } from '../../src/model/spec.ts'
import {
  usageEvent,
  type BilledPod,
  type BillingTerms,
  type Confidence,
  type UsageEvent,
  type UsageFact,
} from '../../src/model/usage.ts'

/** Events as tests write them. */
export function testEvent(
  podUid: string,
  event: { atMs: number; fact: UsageFact; incarnation?: number; source?: UsageEvent['source'] },
): UsageEvent {
  return usageEvent({
    clusterUid: 'cluster-1',
    podUid: asPodUid(podUid),
    incarnation: event.incarnation ?? 0,
    atMs: event.atMs,
    observedMs: event.atMs,
    source: event.source ?? 'backend',
    fact: event.fact,
  })
}

export const smallSpec: Spec = { cpuMillis: 1000n, memoryMiB: 2048n, gpus: 0n }

export function terms(spec: Spec = smallSpec, priceBook = 'tencent-eks-intl-2023-06-30'): BillingTerms {
  const { cpuMillis, memoryMiB, gpus } = spec
  return { priceBook, spec, demand: { cpuMillis, memoryMiB, gpus }, steps: [] }
}

export function intentFact(
  name: string,
  spec?: Spec,
  priceBook?: string,
  pod: Partial<BilledPod> = {},
): UsageFact {
  return {
    kind: 'INTENT',
    pod: {
      clusterUid: 'cluster-1',
      uid: asPodUid(name),
      namespace: 'default',
      name,
      workload: { kind: 'Pod', name },
      pool: 'burst',
      node: 'burst-0',
      labels: {},
      ...pod,
    },
    terms: terms(spec, priceBook),
  }
}

export function openedFact(sandboxId: string): UsageFact {
  return { kind: 'OPENED', sandboxId, pod: { namespace: 'default', name: 'x', node: 'burst-0' } }
}

export function closedFact(confidence: Confidence): UsageFact {
  return { kind: 'CLOSED', confidence, reason: 'test' }
}

export interface LifeOptions {
  readonly startMs: number
  /** Left out: it still runs. */
  readonly endMs?: number
  readonly spec?: Spec
  readonly priceBook?: string
  /** What is not as in other tests. */
  readonly pod?: Partial<BilledPod>
}

/** INTENT, OPENED and, with an end, CLOSED. */
export function lifeOf(name: string, { startMs, endMs, spec, priceBook, pod }: LifeOptions): UsageEvent[] {
  const intent = intentFact(name, spec, priceBook, pod)
  const events = [
    testEvent(name, { atMs: startMs - 10, fact: intent, source: 'spillway' }),
    testEvent(name, { atMs: startMs, fact: openedFact(`sandbox-of-${name}`) }),
  ]
  if (endMs !== undefined) events.push(testEvent(name, { atMs: endMs, fact: closedFact('exact') }))
  return events
}
