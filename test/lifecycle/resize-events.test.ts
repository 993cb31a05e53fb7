import { describe, expect, it } from 'vitest'
import {
  resizeCompleted,
  resizeFailed,
  resizePending,
  resizeStarted,
} from '../../src/lifecycle/resize-events.ts'
import { aContainer, aPod } from '../support/builders.ts'

const pod = aPod({
  spec: {
    initContainers: [
      aContainer({ name: 'c0', resources: { requests: { cpu: '100m' }, limits: { cpu: '200m' } } }),
    ],
    containers: [
      aContainer({ name: 'c1', resources: { requests: { memory: '100' }, limits: { memory: '200' } } }),
      aContainer({ name: 'c2', resources: { requests: { memory: '100', cpu: '200m' } } }),
    ],
  },
})
const sizes =
  '{"initContainers":[{"name":"c0","resources":{"limits":{"cpu":"200m"},"requests":{"cpu":"100m"}}}],' +
  '"containers":[{"name":"c1","resources":{"limits":{"memory":"200"},"requests":{"memory":"100"}}},' +
  '{"name":"c2","resources":{"requests":{"cpu":"200m","memory":"100"}}}],"generation":2'

// The texts are those of pkg/kubelet/events/resize_test.go.
describe('people are told', () => {
  it('of a resize that begins and ends', () => {
    const message = `Pod resize started: ${sizes}}`
    expect(resizeStarted(pod, 2)).toEqual({ type: 'Normal', reason: 'ResizeStarted', message })
    expect(resizeCompleted(pod, 2).message).toBe(`Pod resize completed: ${sizes}}`)
  })

  it('of one that fails, with its error', () => {
    const { type, reason, message } = resizeFailed(pod, 2, 'usage > limit & more')
    expect({ type, reason }).toEqual({ type: 'Warning', reason: 'ResizeError' })
    expect(message).toBe(`Pod resize error: ${sizes},"error":"usage \\u003e limit \\u0026 more"}`)
  })

  it('of one that waits, with the reason of the door', () => {
    const why = "Node didn't have enough resource: memory"
    const deferred = { reason: 'Deferred', cause: 'OutOfmemory', message: why } as const
    const { type, reason, message } = resizePending(pod, deferred, 2)
    expect({ type, reason }).toEqual({ type: 'Warning', reason: 'ResizeDeferred' })
    expect(message).toBe(`Pod resize OutOfmemory: ${sizes},"error":"${why}"}`)
  })

  it('without sizes where there are none', () => {
    const bare = aPod({ spec: { containers: [aContainer({ name: 'c0' })] } })
    expect(resizeCompleted(bare, 3).message).toBe(
      'Pod resize completed: {"containers":[{"name":"c0","resources":{}}],"generation":3}',
    )
  })
})
