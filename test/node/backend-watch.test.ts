import { describe, expect, it } from 'vitest'
import type { BackendHealth } from '../../src/backends/backend.ts'
import { BackendWatch } from '../../src/node/backend-watch.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { healthSample } from './samples.ts'

describe('BackendWatch', () => {
  it('sees a loss within two seconds, also when the check hangs, and since when', async () => {
    const clock = new FakeClock()
    const running = new AbortController()
    let answer: () => Promise<BackendHealth> = async () => healthSample()
    const watch = new BackendWatch({ backend: { health: () => answer() }, clock })
    const ended = watch.run(running.signal)
    await clock.advance(5000)
    expect(watch.state).toEqual({ health: healthSample(), lostSinceMs: undefined })

    // The worst moment: right after a check that was fine.
    answer = () => new Promise(() => undefined)
    await clock.advance(2000)
    expect(watch.state?.health.runtime).toMatchObject({ ok: false, reason: 'BackendTimeout' })
    expect(watch.state?.health.disk).toEqual(healthSample().disk)
    const lostSinceMs = watch.state?.lostSinceMs
    await clock.advance(10_000)
    expect(watch.state?.lostSinceMs).toBe(lostSinceMs)

    answer = async () => healthSample()
    await clock.advance(2000)
    expect(watch.state?.lostSinceMs).toBeUndefined()
    running.abort()
    await ended
    expect(clock.pending).toBe(0)
  })

  it('takes a check that rejects for a lost backend', async () => {
    const clock = new FakeClock()
    const running = new AbortController()
    const watch = new BackendWatch({
      backend: { health: () => Promise.reject(new Error('broken pipe')) },
      clock,
    })
    const ended = watch.run(running.signal)
    await clock.advance(0)
    expect(watch.state?.health.runtime).toEqual({
      ok: false,
      reason: 'BackendFailing',
      message: 'broken pipe',
    })
    running.abort()
    await ended
  })
})
