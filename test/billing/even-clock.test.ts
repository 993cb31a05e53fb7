import { describe, expect, it } from 'vitest'
import { onEvenClock } from '../../src/billing/even-clock.ts'
import type { ContainerObservation, PodObservation } from '../../src/model/pod-observation.ts'
import { observed as anObservation } from '../lifecycle/observations.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'

const hourMs = 3_600_000
const minuteMs = 60_000

const container: ContainerObservation = {
  name: 'main',
  kind: 'main',
  image: 'web:1',
  state: { kind: 'running', startedAtMs: start + 1_000 },
  restartCount: 0,
  started: true,
  ready: true,
}
const observed = anObservation({
  sandbox: { id: 's0', createdAtMs: start, ready: true, podIps: [] },
  containers: [container],
})
/** Ten minutes after the sandbox was made, on the Pod's own clock; five minutes ago an hour was skipped. */
const skipped = { nowMs: start + 10 * minuteMs, aheadMs: hourMs }

describe('what a backend tells after the clock of both was set ahead', () => {
  it('stays as it is while it was told before', () => {
    expect(onEvenClock(observed, skipped)).toEqual(observed)
  })

  it('is taken back by as much when it lies in what the Pod’s clock has not come to yet', () => {
    const endedMs = start + 9 * minuteMs + hourMs
    const ended = { kind: 'terminated', exitCode: 0, reason: 'Completed' } as const
    const told: PodObservation = {
      ...observed,
      sandbox: { ...observed.sandbox!, createdAtMs: endedMs - 1_000 },
      allocation: {
        generation: 2,
        resources: { containers: new Map(), initContainers: new Map() } as never,
        inEffectAtMs: endedMs - 500,
      },
      containers: [
        { ...container, state: { ...ended, startedAtMs: start + 1_000, finishedAtMs: endedMs } },
        {
          ...container,
          state: { kind: 'running', startedAtMs: endedMs + 10 },
          lastTerminated: { ...ended, startedAtMs: endedMs - 20, finishedAtMs: endedMs },
        },
        { ...container, state: { kind: 'waiting', reason: 'CrashLoopBackOff' } },
      ],
    }
    const even = onEvenClock(told, skipped)
    expect(even.sandbox?.createdAtMs).toBe(endedMs - hourMs - 1_000)
    expect(even.allocation?.inEffectAtMs).toBe(endedMs - hourMs - 500)
    expect(even.containers).toMatchObject([
      { state: { startedAtMs: start + 1_000, finishedAtMs: endedMs - hourMs } },
      {
        state: { startedAtMs: endedMs - hourMs + 10 },
        lastTerminated: { startedAtMs: endedMs - hourMs - 20, finishedAtMs: endedMs - hourMs },
      },
      { state: { kind: 'waiting' } },
    ])
  })

  it('is believed while no clock was set, also when the backend is ahead of us', () => {
    const ahead = { ...observed, sandbox: { ...observed.sandbox!, createdAtMs: start + hourMs } }
    expect(onEvenClock(ahead, { nowMs: start, aheadMs: 0 })).toBe(ahead)
  })
})
