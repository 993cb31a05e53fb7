import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Pod } from '../../src/model/kubernetes.ts'
import { moveBackAfterAnnotation, moveBackTriesAnnotation, twinLabel } from '../../src/model/words.ts'
import {
  decideMoveBack,
  explainMoveBack,
  type MoveBackDecision,
  type MoveBackView,
} from '../../src/scheduling/decide-move-back.ts'
import { makeTwin } from '../../src/scheduling/twin.ts'
import {
  agoTime,
  everyPod,
  nowWallMs,
  outPod,
  replicaSetOf,
  rules,
  sceneOf,
  webPod,
  type Scene,
} from './move-back-samples.ts'
import { podSample, serverSample, virtualSample } from './samples.ts'

/** Decided twice: once when room is first seen, and once after it has lasted. */
function afterLasting(view: MoveBackView, policy = everyPod): MoveBackDecision {
  const first = decideMoveBack(view, policy, { nowWallMs: nowWallMs - rules.afterMs, roomSinceMs: new Map() })
  expect(first.steps.filter(({ kind }) => kind === 'make')).toEqual([])
  return decideMoveBack(view, policy, { nowWallMs, roomSinceMs: first.roomSinceMs })
}

function told({ steps }: MoveBackDecision): string[] {
  return steps.map((step) =>
    step.kind === 'make'
      ? `make for ${step.original.metadata?.name}`
      : `${step.kind} ${step.twin.metadata?.name}`,
  )
}

function twinOf(original: Pod, change: (twin: Pod) => Pod = (twin) => twin): Pod {
  const made = makeTwin(original, replicaSetOf(3), () => false)
  if (!made) throw new Error('there is no twin')
  return change({
    ...made,
    metadata: {
      ...made.metadata,
      name: 'twin',
      uid: 'uid-twin',
      resourceVersion: '9',
      creationTimestamp: agoTime(60),
    },
    spec: { ...made.spec, containers: made.spec?.containers ?? [], nodeName: 'server-0' },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: agoTime(30) }],
    },
  })
}

function withTwin(change?: (twin: Pod) => Pod, scene: Scene = {}): MoveBackView {
  return sceneOf({ others: [twinOf(outPod('c'), change)], ...scene })
}

describe('a twin is made', () => {
  test('when servers have had room for as long as it takes, and not before', () => {
    const view = sceneOf()
    const first = decideMoveBack(view, everyPod, { nowWallMs, roomSinceMs: new Map() })
    expect(first).toMatchObject({ steps: [], afterMs: rules.afterMs })
    const early = { nowWallMs: nowWallMs + rules.afterMs - 1, roomSinceMs: first.roomSinceMs }
    expect(decideMoveBack(view, everyPod, early)).toMatchObject({ steps: [], afterMs: 1 })
    const [step] = afterLasting(view).steps
    expect(step).toMatchObject({
      kind: 'make',
      because: 'server-0 has room for it, and servers have had for 300 s',
    })
  })

  test('for the one that its ReplicaSet would remove, one of a ReplicaSet at a time', () => {
    const pods = [webPod('a'), outPod('b'), outPod('c', { createdAgoS: 60 }), outPod('d', { ready: false })]
    expect(told(afterLasting(sceneOf({ pods })))).toEqual(['make for c'])
  })

  test('anew from the start when room has gone in between', () => {
    const roomy = sceneOf()
    const full = sceneOf({ nodes: [serverSample({ cpu: '1' }), virtualSample()] })
    const first = decideMoveBack(roomy, everyPod, {
      nowWallMs: nowWallMs - rules.afterMs,
      roomSinceMs: new Map(),
    })
    const gone = decideMoveBack(full, everyPod, { nowWallMs: nowWallMs - 1, roomSinceMs: first.roomSinceMs })
    expect(gone.roomSinceMs.size).toBe(0)
    const last = decideMoveBack(roomy, everyPod, { nowWallMs, roomSinceMs: gone.roomSinceMs })
    expect(last).toMatchObject({ steps: [], afterMs: rules.afterMs })
  })

  test('anew from the start when the workload was given another size', () => {
    const first = decideMoveBack(sceneOf(), everyPod, {
      nowWallMs: nowWallMs - rules.afterMs,
      roomSinceMs: new Map(),
    })
    const resized = sceneOf({
      replicaSet: (set) => ({
        ...set,
        metadata: { ...set.metadata, generation: 2 },
        status: { replicas: 3, observedGeneration: 2 },
      }),
    })
    expect(decideMoveBack(resized, everyPod, { nowWallMs, roomSinceMs: first.roomSinceMs }).steps).toEqual([])
  })

  test.each<[why: string, scene: Scene]>([
    ['there is no room', { nodes: [serverSample({ cpu: '1' }), virtualSample()] }],
    ['the server is cordoned', { nodes: [serverSample({ cpu: '2', cordoned: true }), virtualSample()] }],
    ['another Pod waits for that room', { others: [podSample({ name: 'waits', cpu: '900m' })] }],
    ['another Pod waits for all of a server', { others: [podSample({ name: 'waits', cpu: '1900m' })] }],
    [
      'it was tried in vain a while ago',
      { pods: [webPod('a'), outPod('c', { annotations: { [moveBackAfterAnnotation]: agoTime(-60) } })] },
    ],
    [
      'the ReplicaSet is to be larger',
      { replicaSet: (set) => ({ ...set, spec: { ...replicaSetOf(4).spec! } }) },
    ],
    [
      'the Deployment is being updated',
      { deployment: (made) => ({ ...made, status: { ...made.status, updatedReplicas: 1 } }) },
    ],
    [
      'the Deployment was just changed',
      { deployment: (made) => ({ ...made, metadata: { ...made.metadata, generation: 2 } }) },
    ],
    [
      'the ReplicaSet was just changed',
      { replicaSet: (set) => ({ ...set, metadata: { ...set.metadata, generation: 2 } }) },
    ],
    [
      'the ReplicaSet is being deleted',
      { replicaSet: (set) => ({ ...set, metadata: { ...set.metadata, deletionTimestamp: agoTime(1) } }) },
    ],
    [
      'the Deployment is being deleted',
      { deployment: (made) => ({ ...made, metadata: { ...made.metadata, deletionTimestamp: agoTime(1) } }) },
    ],
    ['it is not running yet', { pods: [webPod('a'), { ...outPod('c'), status: { phase: 'Pending' } }] }],
  ])('not when %s', (_why, scene) => {
    expect(afterLasting(sceneOf(scene)).steps).toEqual([])
  })

  test('not a second one of a ReplicaSet while the first is under way, whatever room there is', () => {
    const starting = (twin: Pod): Pod => ({ ...twin, status: { phase: 'Pending' } })
    const pods = [webPod('a'), outPod('b'), outPod('c')]
    const view = sceneOf({
      pods,
      others: [twinOf(outPod('c'), starting)],
      nodes: [serverSample({ cpu: '8' }), virtualSample()],
    })
    expect(told(afterLasting(view))).toEqual([])
  })

  test('not while a crowd waits, which nobody has to find places for first', () => {
    const crowd = (size: number): readonly Pod[] =>
      Array.from({ length: size }, (_, index) => podSample({ name: `w${index}`, cpu: '1m' }))
    expect(told(afterLasting(sceneOf({ others: crowd(50) })))).toEqual(['make for c'])
    expect(told(afterLasting(sceneOf({ others: crowd(51) })))).toEqual([])
  })

  test('not where the policy says nothing of the Pod', () => {
    expect(afterLasting(sceneOf(), { ...everyPod, rulesOf: () => undefined as never }).steps).toEqual([])
  })

  test('not when what stays free afterwards is less than the reserve', () => {
    const policy = (reservePercent: number) => ({
      ...everyPod,
      rulesOf: () => ({ ...rules, reservePercent }),
    })
    // Of 2 cores 1.2 are taken then, and 0.8 are left.
    expect(told(afterLasting(sceneOf(), policy(40)))).toEqual(['make for c'])
    expect(told(afterLasting(sceneOf(), policy(41)))).toEqual([])
  })

  test('not more often than so many times a minute', () => {
    const made = Array.from({ length: 6 }, (_, index) => {
      const twin = twinOf(outPod('gone'))
      return {
        ...twin,
        metadata: {
          ...twin.metadata,
          name: `t${index}`,
          uid: `t${index}`,
          labels: {},
          annotations: { 'spillway.dev/moved-back-from': 'x' },
        },
      }
    })
    // Too small to count for room.
    const tiny = made.map((pod) => ({ ...pod, spec: { containers: [], nodeName: 'server-0' } }))
    const decision = afterLasting(
      sceneOf({
        others: tiny.map((pod) => ({
          ...pod,
          metadata: { ...pod.metadata, creationTimestamp: agoTime(45) },
        })),
      }),
    )
    expect(decision).toMatchObject({ steps: [], afterMs: 15_000 })
    expect(told(afterLasting(sceneOf({ others: tiny.slice(1) })))).toEqual(['make for c'])
  })
})

describe('a twin that is there', () => {
  test('is handed over once it is available, and the Pod on the virtual node leaves', () => {
    const { steps } = decideMoveBack(withTwin(), everyPod, { nowWallMs, roomSinceMs: new Map() })
    expect(steps).toMatchObject([
      { kind: 'hand over', original: { metadata: { name: 'c' } }, leaving: { metadata: { name: 'c' } } },
    ])
  })

  test('has to have been ready for minReadySeconds', () => {
    const view = (minReadySeconds: number): MoveBackView =>
      withTwin(undefined, { replicaSet: (set) => ({ ...set, spec: { ...set.spec!, minReadySeconds } }) })
    const at = { nowWallMs, roomSinceMs: new Map<string, number>() }
    expect(told(decideMoveBack(view(30), everyPod, at))).toEqual(['hand over twin'])
    expect(decideMoveBack(view(31), everyPod, at)).toMatchObject({ steps: [], afterMs: 1000 })
  })

  test('waits while its ReplicaSet would remove another one than one on a virtual node', () => {
    const pods = [webPod('a', { ready: false }), webPod('b'), outPod('c')]
    expect(
      decideMoveBack(withTwin(undefined, { pods }), everyPod, { nowWallMs, roomSinceMs: new Map() }).steps,
    ).toEqual([])
  })

  const unready = (twin: Pod): Pod => ({ ...twin, status: { phase: 'Pending' } })

  test('stays while its Pod is not ready, as after a restart of what it runs on, and may take its place then', () => {
    const pods = [webPod('a'), webPod('b'), outPod('c', { ready: false })]
    const at = { nowWallMs, roomSinceMs: new Map() }
    expect(told(decideMoveBack(withTwin(unready, { pods }), everyPod, at))).toEqual([])
    expect(told(decideMoveBack(withTwin(undefined, { pods }), everyPod, at))).toEqual(['hand over twin'])
  })

  const refused = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message: '0/2 nodes are available',
  }
  test.each<[why: string, change: (twin: Pod) => Pod, because: RegExp]>([
    [
      'the scheduler refuses',
      (twin) => ({ ...unready(twin), status: { phase: 'Pending', conditions: [refused] } }),
      /^it found no room: 0\/2/,
    ],
    [
      'would preempt others',
      (twin) => ({ ...unready(twin), status: { phase: 'Pending', nominatedNodeName: 'server-0' } }),
      /out of their place/,
    ],
    [
      'has ended',
      (twin) => ({ ...twin, status: { phase: 'Failed', message: 'evicted' } }),
      /^it ended: evicted/,
    ],
    [
      'takes too long',
      (twin) => ({ ...unready(twin), metadata: { ...twin.metadata, creationTimestamp: agoTime(300) } }),
      /could not take over within 300 s/,
    ],
  ])('is given up when it %s', (_why, change, because) => {
    const { steps } = decideMoveBack(withTwin(change), everyPod, { nowWallMs, roomSinceMs: new Map() })
    expect(steps).toMatchObject([
      { kind: 'give up', because: expect.stringMatching(because), until: { tries: 1, time: agoTime(-300) } },
    ])
  })

  test('waits twice as long after each time in vain, and not for ever', () => {
    const times = [0, 1, 2, 3, 20].map((tries) => {
      const original = outPod('c', { annotations: { [moveBackTriesAnnotation]: String(tries) } })
      const view = withTwin((twin) => ({ ...twin, status: { phase: 'Failed' } }), {
        pods: [webPod('a'), webPod('b'), original],
      })
      const [step] = decideMoveBack(view, everyPod, { nowWallMs, roomSinceMs: new Map() }).steps
      return step?.kind === 'give up' ? (Date.parse(step.until.time) - nowWallMs) / 1000 : undefined
    })
    expect(times).toEqual([300, 600, 1200, 2400, 21_600])
  })

  test('whose end was noted already is removed without another note', () => {
    const noted = { [moveBackAfterAnnotation]: agoTime(-77), [moveBackTriesAnnotation]: '3' }
    const pods = [webPod('a'), webPod('b'), outPod('c', { annotations: noted })]
    const view = withTwin((twin) => ({ ...twin, status: { phase: 'Failed' } }), { pods })
    const [step] = decideMoveBack(view, everyPod, { nowWallMs, roomSinceMs: new Map() }).steps
    expect(step).toMatchObject({ kind: 'give up', until: { time: agoTime(-77), tries: 3 } })
  })

  test.each<[why: string, scene: Scene]>([
    ['its Pod is gone', { pods: [webPod('a'), webPod('b'), webPod('d')] }],
    [
      'its Pod is leaving',
      {
        pods: [
          webPod('a'),
          webPod('b'),
          { ...outPod('c'), metadata: { ...outPod('c').metadata, deletionTimestamp: agoTime(1) } },
        ],
      },
    ],
    ['the ReplicaSet is scaled up', { replicaSet: (set) => ({ ...set, spec: replicaSetOf(5).spec! }) }],
    ['the ReplicaSet is scaled down', { replicaSet: (set) => ({ ...set, spec: replicaSetOf(2).spec! }) }],
    [
      'the ReplicaSet cannot make its Pods',
      {
        replicaSet: (set) => ({
          ...set,
          status: { ...set.status!, conditions: [{ type: 'ReplicaFailure', status: 'True' }] },
        }),
      },
    ],
    [
      'the Deployment is updated',
      { deployment: (made) => ({ ...made, status: { ...made.status, updatedReplicas: 0 } }) },
    ],
    [
      'its user gives another one a lower cost',
      {
        pods: [
          webPod('a', { annotations: { 'controller.kubernetes.io/pod-deletion-cost': '-5000' } }),
          webPod('b'),
          outPod('c'),
        ],
      },
    ],
  ])('is removed when %s, and nothing is put off', (_why, scene) => {
    expect(
      told(decideMoveBack(withTwin(undefined, scene), everyPod, { nowWallMs, roomSinceMs: new Map() })),
    ).toEqual(['drop twin'])
  })

  test('that is leaving is left alone', () => {
    const view = withTwin((twin) => ({
      ...twin,
      metadata: { ...twin.metadata, deletionTimestamp: agoTime(1) },
    }))
    expect(decideMoveBack(view, everyPod, { nowWallMs, roomSinceMs: new Map() }).steps).toEqual([])
  })
})

describe('what explain says', () => {
  test.each<[says: string, view: MoveBackView, name: string]>([
    ['once servers have had room for it for 300 s (server-0 has now)', sceneOf(), 'c'],
    [
      'once servers have had room for it for 300 s (none has now)',
      sceneOf({ nodes: [serverSample({ cpu: '1' }), virtualSample()] }),
      'c',
    ],
    ['under way: twin is to take its place', withTwin(), 'c'],
    [
      'not now: its Deployment is being updated',
      sceneOf({ deployment: (made) => ({ ...made, status: { ...made.status, updatedReplicas: 1 } }) }),
      'c',
    ],
    [
      `not before ${agoTime(-60)}: it was tried in vain (events of c)`,
      sceneOf({
        pods: [webPod('a'), outPod('c', { annotations: { [moveBackAfterAnnotation]: agoTime(-60) } })],
      }),
      'c',
    ],
  ])('%s', (says, view, name) => {
    const pod = view.pods.find(({ metadata }) => metadata?.name === name)
    expect(explainMoveBack(pod!, view, everyPod, nowWallMs)).toBe(says)
  })

  test('nothing of a Pod on a server, and that it is off where it is', () => {
    const view = sceneOf()
    const [onServer, , out] = view.pods
    expect(explainMoveBack(onServer!, view, everyPod, nowWallMs)).toBeUndefined()
    const off = { ...everyPod, rulesOf: () => undefined }
    expect(explainMoveBack(out!, view, off, nowWallMs)).toBe('never: moving back is off for it')
  })
})

describe('a load that comes and goes', () => {
  /**
   * The worst that a load can do: whenever it comes, it throws one Pod of the workload off the server. Each flip of it takes
   * so many seconds. Answers how many twins were made.
   */
  function movesUnder(flips: readonly number[]): { moves: number; seconds: number } {
    let roomSinceMs: ReadonlyMap<string, number> = new Map()
    let isOut = true
    let isFull = false
    let moves = 0
    let seconds = 0
    for (const duration of flips) {
      isFull = !isFull
      if (isFull) isOut = true
      for (let second = 0; second < duration; second += 10) {
        const nodes = [serverSample({ cpu: isFull ? '1' : '2' }), virtualSample()]
        const view = sceneOf({ nodes, pods: [webPod('a'), webPod('b'), isOut ? outPod('c') : webPod('c')] })
        const decision = decideMoveBack(view, everyPod, {
          nowWallMs: nowWallMs + seconds * 1000,
          roomSinceMs,
        })
        roomSinceMs = decision.roomSinceMs
        seconds += 10
        if (decision.steps.some(({ kind }) => kind === 'make')) {
          moves += 1
          isOut = false
        }
      }
    }
    return { moves, seconds }
  }

  test('moves nobody when it does so faster than room has to last', () => {
    expect(movesUnder(Array.from({ length: 40 }, () => 290)).moves).toBe(0)
  })

  test('never moves a Pod more often than once in that time, however it comes and goes', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.integer({ min: 1, max: 90 }).map((tens) => tens * 10),
          { maxLength: 14 },
        ),
        (flips) => {
          const { moves, seconds } = movesUnder(flips)
          expect(moves).toBeLessThanOrEqual(seconds / (rules.afterMs / 1000))
          // Each time that it stays away for long enough, the Pod comes back: the bound is one that is reached.
          const chances = flips.filter(
            (duration, index) => index % 2 === 1 && duration > rules.afterMs / 1000,
          ).length
          expect(moves).toBe(chances)
        },
      ),
      { numRuns: 30 },
    )
  })
})

test('whatever the servers are like, no more is begun than fits on them', () => {
  const workload = fc.record({ cpu: fc.integer({ min: 1, max: 9 }), sets: fc.integer({ min: 1, max: 6 }) })
  fc.assert(
    fc.property(workload, fc.integer({ min: 1, max: 20 }), ({ cpu, sets }, tenths) => {
      const ids = Array.from({ length: sets }, (_, index) => `set${index}`)
      const spec = { containers: [{ name: 'web', resources: { requests: { cpu: `${cpu}00m` } } }] }
      const pods = ids.map((id): Pod => {
        const made = outPod(id, { spec })
        const [owner] = made.metadata?.ownerReferences ?? []
        return {
          ...made,
          metadata: { ...made.metadata, ownerReferences: [{ ...owner!, uid: id, name: id }] },
        }
      })
      const replicaSets = ids.map((id) => {
        const set = replicaSetOf(1)
        const selector = { matchLabels: { app: id } }
        const template = { metadata: { labels: { app: id } }, spec }
        return {
          ...set,
          metadata: { namespace: 'shop', name: id, uid: id, generation: 1 },
          spec: { replicas: 1, selector, template },
        }
      })
      const nodes = [serverSample({ cpu: `${tenths}00m` }), virtualSample()]
      const view = { ...sceneOf({ nodes, pods }), pods, replicaSets }
      const begun = afterLasting(view).steps.length
      expect(begun).toBe(Math.min(sets, Math.floor(tenths / cpu), everyPod.perMinute))
    }),
    { numRuns: 60 },
  )
})

test('a twin carries the UID of the Pod whose place it takes', () => {
  expect(twinOf(outPod('c')).metadata?.labels?.[twinLabel]).toBe('uid-c')
})
