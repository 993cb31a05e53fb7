import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planPool, type PoolNode } from '../../src/pools/plan-pool.ts'

function node(ordinal: number, more: Partial<PoolNode> = {}): PoolNode {
  return { ordinal, pods: 0, retiring: false, cordoned: false, ...more }
}

describe('a pool that is too small', () => {
  test('gets nodes from ordinal 0 on', () => {
    expect(planPool(3, [])).toEqual({ add: [0, 1, 2], retire: [] })
  })

  test('fills the gaps first', () => {
    expect(planPool(4, [node(1), node(3)])).toEqual({ add: [0, 2], retire: [] })
  })

  test('keeps what was on its way out', () => {
    expect(planPool(2, [node(0), node(1, { retiring: true })])).toEqual({ add: [], retire: [] })
  })
})

describe('of a pool that is too big', () => {
  test('the empty node goes, not the newest', () => {
    expect(planPool(2, [node(0, { pods: 1 }), node(1), node(2, { pods: 1 })]).retire).toEqual([1])
  })

  test('among empty ones the cordoned goes, then the newest', () => {
    expect(planPool(2, [node(0), node(1, { cordoned: true }), node(2)]).retire).toEqual([1])
    expect(planPool(1, [node(0), node(1), node(2)]).retire).toEqual([2, 1])
  })

  test('among busy ones the cordoned goes, then the one with the fewest Pods', () => {
    const busy = [node(0, { pods: 5 }), node(1, { pods: 2 }), node(2, { pods: 9, cordoned: true })]
    expect(planPool(2, busy).retire).toEqual([2])
    expect(planPool(1, busy).retire).toEqual([2, 1])
  })

  test('the one that is on its way goes on, so that a restart changes nothing', () => {
    const nodes = [node(0), node(1, { pods: 7, retiring: true }), node(2)]
    expect(planPool(2, nodes).retire).toEqual([1])
  })

  test('no more are emptied than have to go', () => {
    const nodes = [node(0, { retiring: true, pods: 3 }), node(1, { retiring: true, pods: 2 }), node(2)]
    expect(planPool(2, nodes).retire).toEqual([1])
  })
})

test('any pool comes to its size, by nodes that are there once', () => {
  const anyNodes = fc.uniqueArray(
    fc.record({ ordinal: fc.nat(20), pods: fc.nat(3), retiring: fc.boolean(), cordoned: fc.boolean() }),
    { selector: ({ ordinal }) => ordinal, maxLength: 12 },
  )
  fc.assert(
    fc.property(fc.nat(15), anyNodes, (replicas, nodes) => {
      const { add, retire } = planPool(replicas, nodes)
      const ordinals = nodes.map(({ ordinal }) => ordinal)
      const after = [...ordinals.filter((ordinal) => !retire.includes(ordinal)), ...add]
      expect(new Set(after).size).toBe(replicas)
      expect(retire.every((ordinal) => ordinals.includes(ordinal))).toBe(true)
      expect(add.length === 0 || retire.length === 0).toBe(true)
    }),
  )
})
