import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Pod } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { eventId, quantities, workloadOf, type UsageFact } from '../../src/model/usage.ts'

const about = { clusterUid: 'c', podUid: asPodUid('p'), incarnation: 2 }
const closed: UsageFact = { kind: 'CLOSED', confidence: 'exact', reason: 'any' }

describe('event ids', () => {
  it('are the sha256 of the length-prefixed tuple', () => {
    const expected = createHash('sha256').update('1:c1:p1:26:CLOSED5:exact').digest('hex')
    expect(eventId({ ...about, fact: closed })).toBe(expected)
  })

  it('tell apart what a separator would run together', () => {
    const split = eventId({ ...about, clusterUid: 'a-b', podUid: asPodUid('c'), fact: closed })
    expect(eventId({ ...about, clusterUid: 'a', podUid: asPodUid('b-c'), fact: closed })).not.toBe(split)
  })

  it('do not hang on words, and do hang on confidence and generation', () => {
    const id = (fact: UsageFact): string => eventId({ ...about, fact })
    expect(id({ ...closed, reason: 'other' })).toBe(id(closed))
    expect(id({ ...closed, confidence: 'estimated' })).not.toBe(id(closed))
    expect(id({ kind: 'RESIZED', generation: 1 })).not.toBe(id({ kind: 'RESIZED', generation: 2 }))
    expect(id({ kind: 'VOIDED', reason: '', generation: 1 })).not.toBe(id({ kind: 'VOIDED', reason: '' }))
  })
})

describe('the workload of a Pod', () => {
  const owned = (kind: string, name: string, labels: Record<string, string> = {}): Pod => ({
    metadata: {
      name: 'p',
      labels,
      ownerReferences: [{ apiVersion: 'v1', kind, name, uid: 'o', controller: true }],
    },
  })

  it('is the Deployment behind a ReplicaSet that is named after it', () => {
    expect(workloadOf(owned('ReplicaSet', 'my-web-6f7b', { 'pod-template-hash': '6f7b' }))).toEqual({
      kind: 'Deployment',
      name: 'my-web',
    })
  })

  it('is the ReplicaSet itself when somebody made it by hand', () => {
    expect(workloadOf(owned('ReplicaSet', 'my-web-6f7b'))).toEqual({
      kind: 'ReplicaSet',
      name: 'my-web-6f7b',
    })
  })

  it('is any other controller as it is, and the Pod when there is none', () => {
    expect(workloadOf(owned('Job', 'sum'))).toEqual({ kind: 'Job', name: 'sum' })
    expect(workloadOf({ metadata: { name: 'lonely' } })).toEqual({ kind: 'Pod', name: 'lonely' })
  })
})

it('quantities pass 2^53 without losing a digit', () => {
  const spec = { cpuMillis: 64_000_000n, memoryMiB: 1n, gpus: 8n }
  expect(quantities(spec, 2_678_400_001).cpuMilliMs).toBe(171_417_600_064_000_000n)
})
