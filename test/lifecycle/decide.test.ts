import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide, graceSeconds, type DesiredPod } from '../../src/lifecycle/decide.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type { BackendPhase, PodObservation } from '../../src/model/pod-observation.ts'
import { asPodUid } from '../../src/model/pod-key.ts'

const wanted: Pod = {
  metadata: { uid: 'u', generation: 1 },
  spec: { containers: [], terminationGracePeriodSeconds: 20 },
}
const deleting: Pod = {
  ...wanted,
  metadata: { ...wanted.metadata, deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 5 },
}
const finished: Pod = { ...wanted, status: { phase: 'Succeeded' } }
const hasRun: Pod = {
  ...wanted,
  status: {
    containerStatuses: [
      { name: 'c', containerID: 'containerd://1', image: '', imageID: '', ready: true, restartCount: 0 },
    ],
  },
}

function present(pod: Pod): DesiredPod {
  return { kind: 'present', pod }
}

function observed(phase: BackendPhase, over: Partial<PodObservation> = {}): PodObservation {
  return {
    uid: asPodUid('u'),
    namespace: 'default',
    name: 'p',
    nodeName: 'burst-0',
    incarnation: 0,
    supervised: true,
    generation: 1,
    phase,
    containers: [],
    ...over,
  }
}

describe('a Pod that is wanted', () => {
  test('goes through the door when it is new', () => {
    expect(decide({ desired: present(wanted), observed: undefined })).toEqual({ do: 'admit' })
  })
  test('is adopted when it runs and this process does not look after it', () => {
    expect(
      decide({ desired: present(wanted), observed: observed('running', { supervised: false }) }),
    ).toEqual({ do: 'adopt' })
  })
  test('is updated when its generation moved on', () => {
    const changed = { ...wanted, metadata: { ...wanted.metadata, generation: 2 } }
    expect(decide({ desired: present(changed), observed: observed('running') })).toEqual({ do: 'update' })
  })
  test('is ended once when it has been active for too long, adopted or not', () => {
    const pastDeadline = true
    const expire = { do: 'expire', graceSeconds: 20 }
    for (const supervised of [true, false]) {
      const seen = observed('running', { supervised })
      expect(decide({ desired: present(wanted), observed: seen, pastDeadline })).toEqual(expire)
    }
    for (const phase of ['stopping', 'stopped'] as const) {
      const step = decide({ desired: present(wanted), observed: observed(phase), pastDeadline })
      expect(step).toEqual({ do: 'nothing' })
    }
  })
  test('is ended once, at short notice, when this node evicts it', () => {
    const evicted = { ...wanted, status: { phase: 'Running', reason: 'Evicted' } } satisfies Pod
    for (const supervised of [true, false]) {
      const step = decide({ desired: present(evicted), observed: observed('running', { supervised }) })
      expect(step).toEqual({ do: 'stop', graceSeconds: 1 })
    }
    expect(decide({ desired: present(evicted), observed: observed('stopping') })).toEqual({ do: 'nothing' })
  })
  test('is left alone when all is as it should be', () => {
    expect(decide({ desired: present(wanted), observed: observed('running') })).toEqual({ do: 'nothing' })
  })
  test('is begun anew when it ran and the backend lost every trace', () => {
    expect(decide({ desired: present(hasRun), observed: undefined })).toEqual({ do: 'replaceLost' })
  })
  test('is not touched after it ended by its own rules, so that logs and exit codes stay', () => {
    expect(decide({ desired: present(wanted), observed: observed('stopped') })).toEqual({ do: 'nothing' })
    expect(decide({ desired: present(finished), observed: observed('stopped') })).toEqual({ do: 'nothing' })
  })
})

describe('a Pod that is being deleted', () => {
  test('is stopped with the grace of the DELETE', () => {
    expect(decide({ desired: present(deleting), observed: observed('running') })).toEqual({
      do: 'stop',
      graceSeconds: 5,
    })
  })
  test('leaves the API when its processes have ended, or never began', () => {
    expect(decide({ desired: present(deleting), observed: observed('stopped') })).toEqual({ do: 'delete' })
    expect(decide({ desired: present(deleting), observed: undefined })).toEqual({ do: 'delete' })
  })
  test('loses its evidence only when the API object is gone', () => {
    expect(
      decide({ desired: { kind: 'deleted', lastSeen: deleting }, observed: observed('stopped') }),
    ).toEqual({ do: 'forget' })
  })
  test('is stopped when it was removed by force while it runs', () => {
    expect(decide({ desired: { kind: 'deleted', lastSeen: wanted }, observed: observed('running') })).toEqual(
      {
        do: 'stop',
        graceSeconds: 20,
      },
    )
  })
})

test('a Pod that nobody has told us about is not touched', () => {
  for (const phase of ['starting', 'running', 'stopping', 'stopped'] as const) {
    expect(decide({ desired: { kind: 'unknown' }, observed: observed(phase) })).toEqual({ do: 'nothing' })
  }
})

test('a Pod that is over, going or gone is never started, adopted or updated', () => {
  const endings = fc.constantFrom<DesiredPod>(
    present(deleting),
    present(finished),
    present({ ...deleting, status: { phase: 'Failed' } }),
    { kind: 'deleted', lastSeen: wanted },
    { kind: 'deleted', lastSeen: hasRun },
    { kind: 'unknown' },
  )
  const pictures = fc.option(
    fc.record({
      phase: fc.constantFrom<BackendPhase>('starting', 'running', 'stopping', 'stopped'),
      supervised: fc.boolean(),
    }),
    { nil: undefined },
  )
  fc.assert(
    fc.property(endings, pictures, (desired, picture) => {
      const step = decide({
        desired,
        observed: picture && observed(picture.phase, { supervised: picture.supervised }),
      })
      return !['admit', 'adopt', 'replaceLost', 'update'].includes(step.do)
    }),
  )
})

test('the grace is what was asked for, else the Pod’s own, and never below a second', () => {
  expect(graceSeconds(deleting)).toBe(5)
  expect(graceSeconds(wanted)).toBe(20)
  expect(graceSeconds({ metadata: { deletionGracePeriodSeconds: 0 } })).toBe(1)
  expect(graceSeconds({})).toBe(30)
})
