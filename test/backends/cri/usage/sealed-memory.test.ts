import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withKernelMemory } from '../../../../src/backends/cri/usage/sealed-memory.ts'
import { asPodUid } from '../../../../src/model/pod-key.ts'
import type { PodUsage } from '../../../../src/model/pod-usage.ts'

function pod(memory: PodUsage['memory'], ...workingSets: readonly (bigint | undefined)[]): PodUsage {
  return {
    uid: asPodUid('u1'),
    namespace: 'shop',
    name: 'web',
    nodeName: 'burst-0',
    startedAtMs: 1,
    ...(memory && { memory }),
    containers: workingSets.map((workingSetBytes, index) => ({
      name: `c${index}`,
      startedAtMs: 2,
      cpu: { atMs: 3, totalNanos: 4n },
      ...(workingSetBytes !== undefined && { memory: { atMs: 5, workingSetBytes, pageFaults: 0n } }),
    })),
  }
}

const held = (of: PodUsage) => withKernelMemory(of).containers.map(({ memory }) => memory)

describe('the memory of containers with a kernel of their own', () => {
  it('is the Pod’s, in parts as they say themselves', () => {
    const whole = { atMs: 9, usageBytes: 1000n, workingSetBytes: 300n, rssBytes: 200n }
    expect(held(pod(whole, 2000n, 1000n))).toEqual([
      { atMs: 9, usageBytes: 666n, workingSetBytes: 200n },
      { atMs: 9, usageBytes: 334n, workingSetBytes: 100n },
    ])
  })

  it('is in equal parts where none says anything, and no part of who is not measured', () => {
    const whole = { atMs: 9, workingSetBytes: 300n }
    expect(held(pod(whole, 0n, undefined, 0n))).toEqual([
      { atMs: 9, workingSetBytes: 150n },
      undefined,
      { atMs: 9, workingSetBytes: 150n },
    ])
  })

  it('is what it was while the Pod’s is not known', () => {
    const unknown = pod(undefined, 7n)
    expect(withKernelMemory(unknown)).toEqual(unknown)
    expect(held(pod({ atMs: 9 }, 7n))).toEqual([{ atMs: 9 }])
  })

  it('adds up, whatever they are', () => {
    const bytes = fc.bigInt({ min: 0n, max: 1n << 50n })
    fc.assert(
      fc.property(bytes, fc.array(bytes, { minLength: 1, maxLength: 9 }), (workingSetBytes, own) => {
        const sizes = held(pod({ atMs: 9, workingSetBytes }, ...own)).map(
          (one) => one?.workingSetBytes ?? -1n,
        )
        expect(sizes.reduce((sum, size) => sum + size, 0n)).toBe(workingSetBytes)
        expect(sizes.every((size) => size >= 0n)).toBe(true)
      }),
    )
  })
})
