import { describe, expect, it } from 'vitest'
import { resizeConditions, type ResizeConditionsInput } from '../../src/lifecycle/resize-conditions.ts'
import { kubeTime } from '../../src/model/clock.ts'
import type { PodCondition } from '../../src/model/kubernetes.ts'
import { at } from './observations.ts'

const resources = { containers: {} }
const deferred = { reason: 'Deferred', cause: 'OutOfcpu', message: 'no room', generation: 2 } as const

function conditions(over: Partial<ResizeConditionsInput>): PodCondition[] {
  const nothing = { pending: undefined, allocation: undefined, previous: [], nowMs: at(30) }
  return resizeConditions({ ...nothing, ...over })
}

describe('the conditions of a resize', () => {
  it('are none when nothing is asked for and all is in effect', () => {
    const previous = conditions({ pending: deferred, allocation: { generation: 1, resources } })
    expect(previous).toHaveLength(2)
    expect(conditions({ allocation: { generation: 2, resources, inEffectAtMs: at(1) }, previous })).toEqual(
      [],
    )
  })

  it('say what waits for room, since when and for whose generation', () => {
    expect(conditions({ pending: deferred })).toEqual([
      {
        type: 'PodResizePending',
        status: 'True',
        reason: 'Deferred',
        message: 'no room',
        lastTransitionTime: kubeTime(at(30)),
        observedGeneration: 2,
      },
    ])
  })

  it('keep the time while the reason stays, and take a new one with it', () => {
    const previous = conditions({ pending: deferred })
    const later = { ...deferred, message: 'still none', generation: 3 }
    expect(conditions({ pending: later, previous, nowMs: at(60) })).toMatchObject([
      { message: 'still none', observedGeneration: 3, lastTransitionTime: kubeTime(at(30)) },
    ])
    const never = { ...deferred, reason: 'Infeasible' } as const
    expect(conditions({ pending: never, previous, nowMs: at(60) })).toMatchObject([
      { reason: 'Infeasible', lastTransitionTime: kubeTime(at(60)) },
    ])
  })

  it('leave a pending one as it was while nobody can say', () => {
    const previous = conditions({ pending: deferred })
    expect(conditions({ pending: 'unknown', previous, nowMs: at(60) })).toEqual(previous)
  })

  it('say what is under way, and its error until it goes on', () => {
    const allocation = { generation: 4, resources }
    const [underWay] = conditions({ allocation })
    expect(underWay).toEqual({
      type: 'PodResizeInProgress',
      status: 'True',
      lastTransitionTime: kubeTime(at(30)),
      observedGeneration: 4,
    })
    const failed = conditions({
      allocation: { ...allocation, error: 'memory is in use' },
      previous: [underWay!],
      nowMs: at(40),
    })
    expect(failed).toMatchObject([
      { reason: 'Error', message: 'memory is in use', lastTransitionTime: kubeTime(at(40)) },
    ])
    // After a restart of ours nobody has tried yet: what was said stands.
    expect(conditions({ allocation, previous: failed, nowMs: at(50) })).toEqual(failed)
    // The next size begins without it.
    const [next] = conditions({ allocation: { generation: 5, resources }, previous: failed, nowMs: at(50) })
    expect(next).toMatchObject({ observedGeneration: 5, lastTransitionTime: kubeTime(at(50)) })
    expect(next).not.toHaveProperty('reason')
  })
})
