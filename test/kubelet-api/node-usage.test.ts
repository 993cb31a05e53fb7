import { describe, expect, it } from 'vitest'
import { NodeUsage } from '../../src/kubelet-api/node-usage.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PodUsage } from '../../src/model/pod-usage.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { wholePod } from './readings.ts'

const { signal } = new AbortController()

function podWith(uid: string, totalNanos: bigint, more: Partial<PodUsage> = {}): PodUsage {
  return { ...wholePod, uid: asPodUid(uid), cpu: { atMs: 0, totalNanos }, ...more }
}

function nodeOver(pods: () => readonly PodUsage[]): NodeUsage {
  const clock = new FakeClock()
  const backend = { usage: async () => ({ pods: pods() }) }
  return new NodeUsage({ nodeName: 'burst-0', memoryBytes: () => 1_000n, backend, clock })
}

describe('the CPU time of a node', () => {
  it('is that of its Pods, and never goes back when one of them goes', async () => {
    let pods = [podWith('a', 100n), podWith('b', 50n)]
    const node = nodeOver(() => pods)
    const total = async () => (await node.read({ storage: false }, signal)).cpu.totalNanos
    expect(await total()).toBe(150n)
    pods = [podWith('a', 130n)]
    expect(await total()).toBe(180n)
    pods = []
    expect(await total()).toBe(180n)
    pods = [podWith('c', 5n)]
    expect(await total()).toBe(185n)
  })

  it('counts a Pod from zero again when its sandbox was replaced', async () => {
    let nanos = 100n
    const node = nodeOver(() => [podWith('a', nanos)])
    const total = async () => (await node.read({ storage: false }, signal)).cpu.totalNanos
    await total()
    nanos = 20n
    expect(await total()).toBe(120n)
  })
})

describe('what a node uses', () => {
  it('is what its own Pods use, not those of its neighbours', async () => {
    const pods = [podWith('a', 1n), podWith('b', 1n), podWith('c', 1n, { nodeName: 'burst-1' })]
    const { pods: own, memory } = await nodeOver(() => pods).read({ storage: false }, signal)
    expect(own.map(({ uid }) => uid)).toEqual(['a', 'b'])
    expect(memory).toMatchObject({ workingSetBytes: 160n, availableBytes: 840n, rssBytes: 140n })
  })

  it('may be more than it has, and then nothing is left', async () => {
    const memory = { atMs: 0, workingSetBytes: 5_000n }
    const read = await nodeOver(() => [podWith('a', 1n, { memory })]).read({ storage: false }, signal)
    expect(read.memory.availableBytes).toBe(0n)
  })
})
