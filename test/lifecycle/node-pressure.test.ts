import { describe, expect, it } from 'vitest'
import { admit } from '../../src/lifecycle/admission.ts'
import { pressureRefusal } from '../../src/lifecycle/node-pressure.ts'
import type { Node, PodSpec } from '../../src/model/kubernetes.ts'
import { aContainer, aNode, aPod, capabilities } from '../support/builders.ts'

function nodeWith(...types: readonly string[]): Node {
  const all = ['MemoryPressure', 'DiskPressure', 'PIDPressure']
  const conditions = all.map((type) => ({ type, status: types.includes(type) ? 'True' : 'False' }))
  const node = aNode()
  return { ...node, status: { ...node.status, conditions } }
}

function refusalOf(spec: Partial<PodSpec>, ...types: readonly string[]): string | undefined {
  return pressureRefusal(aPod({ spec }), nodeWith(...types))
}

const asksForMemory = { containers: [aContainer({ resources: { requests: { memory: '1Mi' } } })] }

describe('a node that is short of something', () => {
  it('takes no more Pods, and says so before anything else', () => {
    const pod = aPod({ spec: { ...asksForMemory, os: { name: 'windows' } } })
    const node = nodeWith('DiskPressure', 'PIDPressure')
    expect(admit({ pod, node, others: [], capabilities: capabilities() })).toEqual({
      kind: 'refuse',
      reason: 'Evicted',
      message: 'The node had condition: [DiskPressure PIDPressure]. ',
    })
    expect(refusalOf(asksForMemory)).toBeUndefined()
  })

  it('of memory alone takes those that ask for some, or say that they can do with that', () => {
    expect(refusalOf({}, 'MemoryPressure')).toBe('The node had condition: [MemoryPressure]. ')
    expect(refusalOf(asksForMemory, 'MemoryPressure')).toBeUndefined()
    const tolerations = [{ key: 'node.kubernetes.io/memory-pressure', operator: 'Exists' }]
    expect(refusalOf({ tolerations }, 'MemoryPressure')).toBeUndefined()
    expect(refusalOf({ tolerations }, 'MemoryPressure', 'DiskPressure')).toContain('DiskPressure')
  })

  it('takes what the system cannot do without', () => {
    expect(refusalOf({ priority: 2_000_000_000 }, 'DiskPressure')).toBeUndefined()
    expect(refusalOf({ priority: 1_999_999_999 }, 'DiskPressure')).toBeDefined()
  })
})
