import { describe, expect, it } from 'vitest'
import { loggedAttempt } from '../../../../src/backends/cri/logs/logged-attempt.ts'
import { observePod, type SeenContainer, type Waiting } from '../../../../src/backends/cri/pod/observe.ts'
import { attempt, ended, observeInput, sandbox } from '../seen.ts'

/** The ids of the attempts whose logs `kubectl logs` and `kubectl logs --previous` show. */
function logged(containers: readonly SeenContainer[], waiting: readonly (readonly [string, Waiting])[] = []) {
  const view = { sandboxes: [sandbox()], containers }
  const observed = observePod(observeInput({ view, waiting: new Map(waiting) }))
  const of = (previous: boolean) =>
    loggedAttempt({ view, observed }, { container: 'main', previous })?.status.id
  return [of(false), of(true)]
}

describe('of which attempt a log is', () => {
  it('is the one that runs, and before it the one that ended last', () => {
    expect(logged([attempt(1, ended), attempt(2)])).toEqual(['container-2', 'container-1'])
    expect(logged([attempt(0)])).toEqual(['container-0', undefined])
  })

  it('is the one that has ended for good, and before it the one that had ended before', () => {
    expect(logged([attempt(1, ended), attempt(2, ended)])).toEqual(['container-2', 'container-1'])
  })

  it('is the one that ended last either way while the container waits to run again', () => {
    const waiting = [['main', { reason: 'CrashLoopBackOff' }]] as const
    expect(logged([attempt(1, ended), attempt(2, ended)], waiting)).toEqual(['container-2', 'container-2'])
    expect(logged([], waiting)).toEqual([undefined, undefined])
  })
})
