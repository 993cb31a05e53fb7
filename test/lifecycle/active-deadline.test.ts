import { describe, expect, it } from 'vitest'
import { activeDeadlineMs, isPastDeadline } from '../../src/lifecycle/active-deadline.ts'
import { podStatus } from '../../src/lifecycle/pod-status.ts'
import { kubeTime } from '../../src/model/clock.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { aContainer, aPod } from '../support/builders.ts'
import { at, container, ended, observed, running } from './observations.ts'

const pod = {
  ...aPod({ spec: { activeDeadlineSeconds: 30, containers: [aContainer({ name: 'main' })] } }),
  status: { phase: 'Running', startTime: kubeTime(at(10)) },
}
const seen = (finishedAtSeconds: number): PodObservation =>
  observed({ phase: 'stopped', containers: [container('main', { state: ended(0, 10, finishedAtSeconds) })] })

describe('the active deadline', () => {
  it('counts from the start time, and is none without one or the other', () => {
    expect(activeDeadlineMs(pod)).toBe(at(40))
    expect(activeDeadlineMs({ ...pod, status: {} })).toBeUndefined()
    expect(activeDeadlineMs({ ...pod, spec: { containers: [] } })).toBeUndefined()
  })

  it('is over at its second', () => {
    const runs = observed({ containers: [running('main')] })
    expect(isPastDeadline(pod, runs, at(40) - 1)).toBe(false)
    expect(isPastDeadline(pod, runs, at(40))).toBe(true)
  })

  it('does not count against a Pod that ended in time and was looked at too late', () => {
    expect(isPastDeadline(pod, seen(39), at(100))).toBe(false)
    expect(isPastDeadline(pod, seen(41), at(100))).toBe(true)
  })
})

describe('the status of a Pod past its deadline', () => {
  const input = { pod, previous: pod.status, node: { hostIps: ['10.0.0.1'] } }

  it('stays Running while something runs', () => {
    const now = { observed: observed({ phase: 'stopping', containers: [running('main')] }), nowMs: at(41) }
    expect(podStatus({ ...input, ...now }).phase).toBe('Running')
    expect(podStatus({ ...input, ...now }).reason).toBeUndefined()
  })

  it('is Failed with the reason when all has ended, whatever the exit codes, and stays so', () => {
    const status = podStatus({ ...input, observed: seen(41), nowMs: at(42) })
    expect(status).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' })
    const later = podStatus({ ...input, previous: status, observed: seen(41), nowMs: at(60) })
    expect(later).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' })
  })

  it('is Failed with the reason when the backend lost it, and it is not run again', () => {
    const previous = { ...pod.status, containerStatuses: [] }
    expect(podStatus({ ...input, previous, observed: undefined, nowMs: at(42) })).toMatchObject({
      phase: 'Failed',
      reason: 'DeadlineExceeded',
    })
  })

  it('is Succeeded when it ended in time', () => {
    const never = {
      ...pod,
      spec: { ...pod.spec, restartPolicy: 'Never', containers: pod.spec?.containers ?? [] },
    }
    const status = podStatus({ ...input, pod: never, observed: seen(39), nowMs: at(100) })
    expect(status.phase).toBe('Succeeded')
    expect(status.reason).toBeUndefined()
  })
})
