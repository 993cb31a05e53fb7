import type { UsageEvent } from '../../src/model/usage.ts'
import { closedFact, lifeOf, terms, testEvent } from './usage-events.ts'

const minute = 60_000
const hour = 3_600_000

/**
 * A day and a bit of two namespaces: Pods of a Deployment, one of them resized, one that runs on; a Job that is over,
 * with a correction; a Pod whose end is an estimate; a GPU that its book has no price for.
 */
export function shopLedger(startMs: number): UsageEvent[] {
  const web = {
    namespace: 'shop',
    workload: { kind: 'Deployment', name: 'web' },
    labels: { app: 'web', team: 'web' },
  }
  const job = {
    namespace: 'etl',
    pool: 'night',
    node: 'night-0',
    workload: { kind: 'Job', name: 'report' },
    labels: { team: 'data, "heavy"' },
  }
  const bigger = terms({ cpuMillis: 2000n, memoryMiB: 4096n, gpus: 0n })
  return [
    ...lifeOf('web-1', { startMs: startMs + 90 * minute + 1234, endMs: startMs + 3 * hour + 77, pod: web }),
    testEvent('web-1', {
      atMs: startMs + 2 * hour,
      fact: { kind: 'RESIZING', generation: 2, terms: { ...bigger, steps: ['the Pod was resized'] } },
    }),
    testEvent('web-1', { atMs: startMs + 2 * hour + 200, fact: { kind: 'RESIZED', generation: 2 } }),
    ...lifeOf('web-2', { startMs: startMs + 22 * hour + 500, pod: web }),
    ...lifeOf('report-x', {
      startMs: startMs + 23 * hour + 30 * minute,
      endMs: startMs + 24 * hour + 20 * minute + 3,
      pod: job,
      priceBook: 'flat-demo',
    }),
    testEvent('report-x', {
      atMs: startMs + 24 * hour,
      source: 'person',
      fact: {
        kind: 'ADJUSTED',
        reference: 'ticket-7',
        reason: 'the node was slow, see ticket 7',
        amount: '-0.01',
        currency: 'USD',
      },
    }),
    ...lifeOf('train', {
      startMs: startMs + 5 * hour,
      endMs: startMs + 5 * hour + 10 * minute,
      spec: { cpuMillis: 8000n, memoryMiB: 40_960n, gpus: 1n, gpuModel: 'V100' },
      pod: { ...job, workload: { kind: 'Job', name: 'train' } },
    }),
    ...lifeOf('lost', {
      startMs: startMs + 4 * hour,
      pod: { ...web, workload: { kind: 'Pod', name: 'lost' } },
    }),
    testEvent('lost', {
      atMs: startMs + 4 * hour + 61_001,
      fact: closedFact('estimated'),
      source: 'spillway',
    }),
  ]
}
