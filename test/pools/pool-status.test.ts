import { describe, expect, test } from 'vitest'
import type { VirtualNodePool } from '../../src/model/virtual-node-pool.ts'
import { poolStatus, poolStatusDiffers, type PoolFacts } from '../../src/pools/pool-status.ts'

const nowMs = Date.parse('2026-11-29T08:00:00Z')
const object: VirtualNodePool = { metadata: { name: 'burst', generation: 3 } }

function facts(more: Partial<PoolFacts> = {}): PoolFacts {
  return {
    instance: 'shop',
    nodes: [node('burst-0'), node('burst-1', { pods: 4 })],
    wanted: 2,
    problems: [],
    cordoned: false,
    drained: false,
    deletion: 'none',
    blocked: [],
    ...more,
  }
}

function node(name: string, more: Partial<PoolFacts['nodes'][number]> = {}) {
  return { name, ready: true, reason: '', retiring: false, pods: 0, ...more }
}

function readyOf(more: Partial<PoolFacts>) {
  const { conditions } = poolStatus(object, facts(more), nowMs)
  const { status, reason, message } = conditions?.find(({ type }) => type === 'Ready') ?? {}
  return `${status} ${reason}: ${message}`
}

const noSandbox = { status: 'False', reason: 'NoSandboxHandler', message: 'no gVisor' } as const
const sealed = { status: 'True', reason: 'HandlerOffered', message: 'made by runsc' } as const

test('whether there are sandboxes is what its nodes say, and the bad word counts', () => {
  const sandboxReady = (...sandboxes: readonly (typeof noSandbox | typeof sealed)[]) => {
    const nodes = sandboxes.map((sandbox, index) => node(`burst-${index}`, { sandbox }))
    const { conditions } = poolStatus(object, facts({ nodes }), nowMs)
    return conditions?.find(({ type }) => type === 'SandboxReady')
  }
  expect(sandboxReady()).toBeUndefined()
  expect(sandboxReady(sealed)).toMatchObject(sealed)
  expect(sandboxReady(sealed, noSandbox)).toMatchObject(noSandbox)
})

describe('the state of a pool', () => {
  const blocked = ['Pod shop/db: the disruption budget needs 2', 'Pod shop/web: the same']
  test.each<[string, Partial<PoolFacts>]>([
    ['True Ready: 2 of 2 nodes are Ready', {}],
    ['True Ready: 0 of 0 nodes are Ready', { nodes: [], wanted: 0 }],
    ['True Cordoned: 2 of 2 nodes are Ready and take no new Pods', { cordoned: true }],
    [
      'True Drained: 2 of 2 nodes are Ready and take no Pods (still there: 4)',
      { cordoned: true, drained: true },
    ],
    ['False ScalingUp: 3 wanted, 2 there', { wanted: 3 }],
    [
      'False NodesNotReady: 1 of 2 nodes are Ready; burst-1: containerd is away',
      { nodes: [node('burst-0'), node('burst-1', { ready: false, reason: 'containerd is away' })] },
    ],
    [
      'False ScalingDown: 1 wanted, 2 there; on the way out: burst-1; in the way: Pod shop/db: the disruption budget needs 2 (and 1 more)',
      { wanted: 1, nodes: [node('burst-0'), node('burst-1', { retiring: true })], blocked },
    ],
    [
      'False Terminating: left: nodes 2, Pods 4; it goes when they have ended, or with annotation spillway.dev/force-delete=true',
      { wanted: 0, deletion: 'waits for its Pods' },
    ],
    [
      'False Terminating: left: nodes 2, Pods 4; the Pods are being evicted; in the way: Pod shop/db: the disruption budget needs 2 (and 1 more)',
      { wanted: 0, deletion: 'by force', blocked },
    ],
    [
      'False NoSandboxHandler: see condition SandboxReady',
      { nodes: [node('burst-0', { sandbox: noSandbox }), node('burst-1')] },
    ],
    ['False NotAccepted: see condition Accepted', { problems: ['backend: found "x"; allowed: local'] }],
  ])('%s', (told, more) => {
    expect(readyOf(more)).toBe(told)
  })

  test('says why it is not taken, and claims only what is', () => {
    const refused = poolStatus(object, facts({ problems: ['backend: found "x"; allowed: local'] }), nowMs)
    expect(refused.conditions?.[0]).toMatchObject({
      type: 'Accepted',
      status: 'False',
      message: 'spec.backend: found "x"; allowed: local',
    })
    expect(refused).not.toHaveProperty('instance')
    expect(poolStatus(object, facts(), nowMs)).toMatchObject({
      instance: 'shop',
      observedGeneration: 3,
      replicas: 2,
      readyReplicas: 2,
      pods: 4,
      selector: 'spillway.dev/pool=burst',
    })
  })
})

test('is written when something changes, and keeps since when', () => {
  const first = poolStatus(object, facts(), nowMs)
  // As the API server gives it back: with the fields in another order.
  const stored = Object.fromEntries(Object.entries(first).reverse())
  const later = poolStatus({ ...object, status: first }, facts(), nowMs + 60_000)
  expect(poolStatusDiffers(stored, later)).toBe(false)
  const worse = poolStatus({ ...object, status: first }, facts({ wanted: 3 }), nowMs + 60_000)
  expect(poolStatusDiffers(stored, worse)).toBe(true)
  expect(worse.conditions?.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([
    first.conditions?.[0]?.lastTransitionTime,
    '2026-11-29T08:01:00Z',
  ])
})

test('the status of a pool has its budget, and none when that was taken away', () => {
  const finding = { status: 'True', reason: 'NearCap', message: 'of $10.00 …' } as const
  const figures = { summary: '$9.00 of $10.00 per hour', currency: 'USD' }
  const status = poolStatus(object, facts({ budget: { finding, figures } }), nowMs)
  expect(status.budget).toEqual(figures)
  expect(status.conditions?.find(({ type }) => type === 'WithinBudget')).toMatchObject(finding)
  const without = poolStatus({ ...object, status }, facts(), nowMs)
  expect(without.budget).toBeNull()
  expect(without.conditions?.map(({ type }) => type)).toEqual(['Accepted', 'Ready'])
  expect(poolStatus(object, facts(), nowMs)).not.toHaveProperty('budget')
})
