import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { wantedNodes, type PoolLoad } from '../../src/pools/wanted-nodes.ts'

const autoscale = { minNodes: 1, maxNodes: 10, sparePercent: 20, idleSeconds: 600 }

/** Nodes of 4 cores, 16 GiB and 10 Pods. */
function load(more: { nodes: number; cores?: number; pods?: number; idleNodes?: number }): PoolLoad {
  return {
    nodes: more.nodes,
    nodeCapacity: { cpuMillis: 4_000n, memoryBytes: 16n << 30n, pods: 10 },
    requested: { cpuMillis: BigInt((more.cores ?? 0) * 1000), memoryBytes: 0n, pods: more.pods ?? 0 },
    idleNodes: more.idleNodes ?? 0,
  }
}

describe('a pool that follows its load', () => {
  test('grows before the last node is full', () => {
    expect(wantedNodes(autoscale, load({ nodes: 1, cores: 3 }))).toBe(1)
    expect(wantedNodes(autoscale, load({ nodes: 1, cores: 3.5 }))).toBe(2)
    expect(wantedNodes(autoscale, load({ nodes: 1, pods: 9 }))).toBe(2)
  })

  test('grows at once by all that waits', () => {
    expect(wantedNodes(autoscale, load({ nodes: 1, pods: 55 }))).toBe(6)
  })

  test('never leaves its bounds', () => {
    expect(wantedNodes(autoscale, load({ nodes: 3, pods: 5_000 }))).toBe(10)
    expect(wantedNodes(autoscale, load({ nodes: 3, idleNodes: 3 }))).toBe(1)
    expect(
      wantedNodes({ ...autoscale, minNodes: 0, sparePercent: 0 }, load({ nodes: 2, idleNodes: 2 })),
    ).toBe(0)
  })

  test('shrinks by nodes that have long been empty, and by no others', () => {
    expect(wantedNodes(autoscale, load({ nodes: 5, pods: 5 }))).toBe(5)
    expect(wantedNodes(autoscale, load({ nodes: 5, pods: 5, idleNodes: 2 }))).toBe(3)
    expect(wantedNodes(autoscale, load({ nodes: 5, pods: 25, idleNodes: 4 }))).toBe(3)
  })
})

test('once it has what it wants it wants nothing else, whatever the load', () => {
  fc.assert(
    fc.property(fc.nat(120), fc.nat(12), fc.nat(12), (pods, nodes, idle) => {
      const first = wantedNodes(autoscale, load({ nodes, pods, idleNodes: Math.min(idle, nodes) }))
      const idleLeft = Math.max(Math.min(idle, nodes) - Math.max(nodes - first, 0), 0)
      expect(wantedNodes(autoscale, load({ nodes: first, pods, idleNodes: idleLeft }))).toBeLessThanOrEqual(
        first,
      )
      // Without idle nodes it is at rest.
      expect(wantedNodes(autoscale, load({ nodes: first, pods }))).toBe(first)
    }),
  )
})
