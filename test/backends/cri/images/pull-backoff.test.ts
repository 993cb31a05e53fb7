import { beforeEach, describe, expect, it } from 'vitest'
import { PullBackoff } from '../../../../src/backends/cri/images/pull-backoff.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

let clock: FakeClock
let backoff: PullBackoff

beforeEach(() => {
  clock = new FakeClock()
  backoff = new PullBackoff(clock)
})

describe('the back-off of a pull that fails', () => {
  it('doubles from 10 s to 5 min', () => {
    const delays = Array.from({ length: 7 }, () => backoff.failed('a', 'app', 'no'))
    expect(delays).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000])
  })

  it('is over when it is over, and says until then why', async () => {
    backoff.failed('a', 'app', 'no such image')
    await clock.advance(9_999)
    expect(backoff.waiting('a', 'app')).toEqual({ leftMs: 1, lastError: 'no such image' })
    await clock.advance(1)
    expect(backoff.waiting('a', 'app')).toBeUndefined()
  })

  it('is not moved by a clock that is set', () => {
    backoff.failed('a', 'app', 'no')
    clock.stepWall(3_600_000)
    expect(backoff.waiting('a', 'app')?.leftMs).toBe(10_000)
  })

  it('is that of one Pod and one image, and begins anew after a pull that went well, or another Pod of that UID', () => {
    backoff.failed('a', 'app', 'no')
    expect(backoff.waiting('b', 'app')).toBeUndefined()
    expect(backoff.waiting('a', 'other')).toBeUndefined()
    backoff.succeeded('a', 'app')
    expect(backoff.waiting('a', 'app')).toBeUndefined()
    expect(backoff.failed('a', 'app', 'no')).toBe(10_000)
    backoff.forget('a')
    expect(backoff.failed('a', 'app', 'no')).toBe(10_000)
  })
})
