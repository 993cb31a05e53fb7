import { describe, expect, it } from 'vitest'
import { retryDelayMs, troubleOf } from '../../../../src/backends/cri/pod/retry.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'

describe('the delay before the next try', () => {
  it('doubles from a quarter of a second to ten seconds, and stays there', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 8, 5000].map((failures) => retryDelayMs(new Error('no'), failures))
    expect(delays).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000])
  })

  it('is what the error says, however often it has failed', () => {
    const busy = new SpillwayError('Busy', 'back-off pulling', {
      reason: 'ImagePullBackOff',
      afterMs: 40_000,
    })
    expect([1, 9].map((failures) => retryDelayMs(busy, failures))).toEqual([40_000, 40_000])
  })

  it.each(['ErrImagePull', 'RegistryUnavailable', 'SignatureValidationFailed'])(
    'is a second after %s, so that the status turns to the back-off that it is in by then',
    (reason) => {
      const failed = new SpillwayError('Unavailable', 'no such host', { reason, afterMs: 40_000 })
      expect([1, 9].map((failures) => retryDelayMs(failed, failures))).toEqual([1000, 1000])
    },
  )
})

describe('the trouble that is told', () => {
  it('is kubelet’s word and sentence', () => {
    const error = new SpillwayError('Unavailable', 'no address left', { reason: 'FailedCreatePodSandBox' })
    expect(troubleOf(error)).toEqual({ reason: 'FailedCreatePodSandBox', message: 'no address left' })
  })

  it('is FailedSync where nobody has a word for it', () => {
    expect(troubleOf(new SpillwayError('Busy', 'not now'))).toEqual({
      reason: 'FailedSync',
      message: 'not now',
    })
    expect(troubleOf('thrown as it is')).toEqual({ reason: 'FailedSync', message: 'thrown as it is' })
  })
})
