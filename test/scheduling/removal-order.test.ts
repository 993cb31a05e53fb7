import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Pod } from '../../src/model/kubernetes.ts'
import { deletionCostAnnotation } from '../../src/model/words.ts'
import {
  compareRemoval,
  crowdsOf,
  deletionCostOf,
  removalRules,
  type RemovalMoment,
} from '../../src/scheduling/removal-order.ts'

const nowWallMs = Date.parse('2026-11-29T12:00:00Z')

interface Wish {
  readonly name?: string
  readonly node?: string
  readonly phase?: string
  readonly readyAgoS?: number | undefined
  readonly cost?: string | undefined
  readonly restarts?: number
  readonly sidecarRestarts?: number
  readonly createdAgoS?: number
}

function ago(seconds: number): string {
  return new Date(nowWallMs - seconds * 1000).toISOString()
}

function podOf(wish: Wish): Pod {
  const { name = 'a', node = 'server-0', phase = 'Running', cost, restarts = 0, sidecarRestarts = 0 } = wish
  const { createdAgoS = 100 } = wish
  const readyAgoS = 'readyAgoS' in wish ? wish.readyAgoS : 90
  const since = readyAgoS === undefined ? ago(5) : ago(readyAgoS)
  const ready = {
    type: 'Ready',
    status: readyAgoS === undefined ? 'False' : 'True',
    lastTransitionTime: since,
  }
  const status = { image: '', imageID: '', ready: true }
  return {
    metadata: {
      name,
      uid: `uid-${name}`,
      creationTimestamp: ago(createdAgoS),
      annotations: cost === undefined ? {} : { [deletionCostAnnotation]: cost },
    },
    spec: {
      containers: [{ name: 'web' }],
      initContainers: [{ name: 'mesh', restartPolicy: 'Always' }, { name: 'once' }],
      ...(node !== '' && { nodeName: node }),
    },
    status: {
      phase,
      conditions: [ready],
      containerStatuses: [{ name: 'web', restartCount: restarts, ...status }],
      initContainerStatuses: [
        { name: 'mesh', restartCount: sidecarRestarts, ...status },
        { name: 'once', restartCount: 99, ...status },
      ],
    },
  }
}

function moment(crowds: Readonly<Record<string, number>> = {}): RemovalMoment {
  return { crowds: new Map(Object.entries(crowds)), nowWallMs }
}

describe('who a ReplicaSet removes first', () => {
  test.each<[rule: string, first: Wish, other: Wish]>([
    ['not bound', { node: '', phase: 'Pending' }, { phase: 'Pending', cost: '-9' }],
    ['phase', { phase: 'Pending', readyAgoS: undefined }, { readyAgoS: undefined, cost: '-9' }],
    ['phase', { phase: 'Unknown' }, { phase: 'Running' }],
    ['not ready', { readyAgoS: undefined, cost: '9' }, { cost: '-1000' }],
    ['deletion cost', { cost: '-1000' }, { node: 'server-1', readyAgoS: 1 }],
    ['deletion cost', {}, { cost: '1' }],
    ['more of them on its node', { node: 'server-1' }, { readyAgoS: 1 }],
    ['ready for a shorter time', { readyAgoS: 10 }, { readyAgoS: 90, restarts: 5 }],
    ['more restarts', { restarts: 2 }, { restarts: 1, sidecarRestarts: 9, createdAgoS: 2 }],
    ['more restarts', { sidecarRestarts: 1 }, { createdAgoS: 2 }],
    ['younger', { createdAgoS: 10 }, { createdAgoS: 200 }],
  ])('by "%s"', (rule, first, other) => {
    const at = moment({ 'server-0': 1, 'server-1': 2 })
    const [a, b] = [podOf({ ...first, name: 'a' }), podOf({ ...other, name: 'b' })]
    expect(compareRemoval(a, b, at)).toEqual({ order: expect.toSatisfy((n: number) => n < 0), rule })
    expect(compareRemoval(b, a, at)).toEqual({ order: expect.toSatisfy((n: number) => n > 0), rule })
  })

  test('ages of the same power of two are equal, and the UID decides', () => {
    const [older, younger] = [podOf({ name: 'a', readyAgoS: 50 }), podOf({ name: 'b', readyAgoS: 40 })]
    expect(compareRemoval(older, younger, moment())).toEqual({ order: -1, rule: 'ready for a shorter time' })
  })

  test('a crowd counts those that are active, of all the ReplicaSets of the Deployment', () => {
    const gone = podOf({ name: 'c' })
    const leaving = { ...gone, metadata: { ...gone.metadata, deletionTimestamp: ago(1) } }
    const related = [podOf({}), podOf({ name: 'b' }), leaving, podOf({ name: 'd', phase: 'Failed' })]
    expect(crowdsOf(related)).toEqual(new Map([['server-0', 2]]))
  })

  test.each([
    ['7', 7],
    ['-1000', -1000],
    ['-05', -5],
    ['+7', 0],
    ['07', 0],
    ['2147483648', 0],
    ['dear', 0],
    [undefined, 0],
  ])('a cost of %s counts as %i', (cost, value) => {
    expect(deletionCostOf(podOf({ cost }))).toBe(value)
  })

  const some = fc.record({
    node: fc.constantFrom('', 'server-0', 'burst-0'),
    phase: fc.constantFrom('Pending', 'Running', 'Unknown'),
    readyAgoS: fc.constantFrom(undefined, 3, 50, 900),
    cost: fc.constantFrom(undefined, '-1000', '5'),
    restarts: fc.nat(2),
    createdAgoS: fc.constantFrom(5, 100, 1000),
  })

  test('of two Pods one goes first, whichever is asked about', () => {
    fc.assert(
      fc.property(some, some, (first, other) => {
        const [a, b] = [podOf({ ...first, name: 'a' }), podOf({ ...other, name: 'b' })]
        const at = moment({ 'server-0': 2, 'burst-0': 1 })
        const [there, back] = [compareRemoval(a, b, at), compareRemoval(b, a, at)]
        expect(Math.sign(there.order)).toBe(0 - Math.sign(back.order))
        expect(there.rule).toBe(back.rule)
        if (there.order === 0) expect(there.rule).toBeUndefined()
        else expect(removalRules).toContain(there.rule)
      }),
    )
  })

  test('those that are equally ready leave virtual nodes first', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 2, maxLength: 12 }), (virtual) => {
        const list = virtual.map((isVirtual, index) =>
          podOf({
            name: String(index),
            node: isVirtual ? 'burst-0' : 'server-0',
            cost: isVirtual ? '-1000' : undefined,
          }),
        )
        const at = moment({ 'server-0': 9 })
        const order = list.toSorted((a, b) => compareRemoval(a, b, at).order)
        const nodes = order.map(({ spec }) => spec?.nodeName ?? '')
        expect(nodes).toEqual(nodes.toSorted((a, b) => a.localeCompare(b)))
      }),
    )
  })
})
