import { beforeEach, describe, expect, it } from 'vitest'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { ContainerRunState, PodObservation } from '../../src/model/pod-observation.ts'
import { ReportPace } from '../../src/pods/report-pace.ts'
import { FakeClock } from '../support/fake-clock.ts'

const uid = asPodUid('a')
const creating: ContainerRunState = { kind: 'waiting', reason: 'ContainerCreating' }
let clock: FakeClock
let pace: ReportPace

beforeEach(() => {
  clock = new FakeClock()
  pace = new ReportPace(clock)
  pace.accepted(uid)
})

function seen(state: ContainerRunState, more: Partial<PodObservation> = {}): PodObservation {
  return { uid, phase: 'starting', containers: [{ name: 'main', state }], ...more } as PodObservation
}

describe('the status of a Pod that is on its way', () => {
  it('waits a second for the container, counted from when the Pod was accepted', async () => {
    expect(pace.waitMs(uid, undefined)).toBe(1_000)
    await clock.advance(300)
    pace.accepted(uid)
    expect(pace.waitMs(uid, seen(creating))).toBe(700)
  })

  it('is written then, and every two seconds from then on', async () => {
    await clock.advance(1_000)
    expect(pace.waitMs(uid, seen(creating))).toBe(0)
    expect(pace.waitMs(uid, seen(creating))).toBe(2_000)
    await clock.advance(2_000)
    expect(pace.waitMs(uid, seen(creating))).toBe(0)
  })

  it.each<[string, PodObservation]>([
    ['a container runs', seen({ kind: 'running', startedAtMs: 1 })],
    ['a container has ended', seen({ kind: 'terminated', exitCode: 1 } as ContainerRunState)],
    ['a pull has failed', seen({ kind: 'waiting', reason: 'ErrImagePull' })],
    ['it waits to try again', seen({ kind: 'waiting', reason: 'CrashLoopBackOff' })],
    ['something holds it up', seen(creating, { trouble: { reason: 'FailedMount', message: 'no' } })],
    ['it is over', seen(creating, { phase: 'stopped' })],
  ])('does not wait once %s', (_when, observed) => {
    expect(pace.waitMs(uid, observed)).toBe(0)
  })

  it('is forgotten with the Pod', () => {
    pace.settled(uid)
    expect(pace.acceptedAtMs(uid)).toBeUndefined()
  })
})
