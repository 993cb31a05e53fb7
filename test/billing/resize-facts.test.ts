import { describe, expect, it } from 'vitest'
import { projectPod } from '../../src/billing/projection.ts'
import { resizeFacts } from '../../src/billing/resize-facts.ts'
import type { AllocationObservation, PodObservation } from '../../src/model/pod-observation.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
import { intentFact, openedFact, smallSpec, terms, testEvent } from '../support/usage-events.ts'

/** What is added about the resizes that were asked for, when the backend is seen so. */
function told(asked: readonly number[], seen: Partial<PodObservation>): unknown[] {
  const events = [
    testEvent('p', { atMs: start, fact: { ...intentFact('p'), generation: 1 } as never }),
    testEvent('p', { atMs: start, fact: openedFact('s') }),
    ...asked.map((generation) => {
      const bigger = terms({ ...smallSpec, cpuMillis: BigInt(generation) * 1000n })
      return testEvent('p', {
        atMs: start + generation,
        fact: { kind: 'RESIZING', generation, terms: bigger },
      })
    }),
  ]
  const facts = resizeFacts({
    history: projectPod(asPodUid('p'), events),
    observed: { phase: 'running', generation: 1, ...seen } as PodObservation,
    incarnation: 0,
    termsOf: () => terms(smallSpec),
  })
  return facts.map(({ atMs, fact }) => [fact.kind, 'generation' in fact && fact.generation, atMs - start])
}

const at = (generation: number, inEffectMs?: number): AllocationObservation => ({
  generation,
  resources: { containers: {} },
  ...(inEffectMs !== undefined && { inEffectAtMs: start + inEffectMs }),
})

describe('a resize that was asked for', () => {
  it('is done when the backend says so', () => {
    expect(told([2], { generation: 2, allocation: at(2, 50) })).toEqual([['RESIZED', 2, 50]])
    expect(told([2], { generation: 2, allocation: at(2) })).toEqual([])
  })

  it('is given up once the backend has set aside a later size', () => {
    expect(told([2, 3], { generation: 3, allocation: at(3) })).toEqual([['VOIDED', 2, 2]])
  })

  it('is given up once the backend has a later Pod at the size of before', () => {
    expect(told([2], { generation: 3, allocation: at(1, 0) })).toEqual([['VOIDED', 2, 2]])
  })

  it('is not given up because of news from before the backend was given it', () => {
    expect(told([2], { generation: 1, allocation: at(1, 0) })).toEqual([])
    expect(told([2, 3], { generation: 1, allocation: at(1, 0) })).toEqual([])
    expect(told([2, 3], { generation: 2, allocation: at(2) })).toEqual([])
  })

  it('is given up when the Pod ends before', () => {
    expect(told([2], { phase: 'stopped', generation: 2, allocation: at(2) })).toEqual([['VOIDED', 2, 2]])
  })
})
