import { beforeEach, describe, expect, it } from 'vitest'
import { Setbacks, wholePod } from '../../../../src/backends/cri/pod/setbacks.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

let clock: FakeClock
let setbacks: Setbacks

beforeEach(() => {
  clock = new FakeClock()
  setbacks = new Setbacks(clock)
})

function fail(key: string, reason = 'CreateContainerError'): number {
  return setbacks.failed(key, new SpillwayError('Unavailable', `${key || 'the Pod'} failed`, { reason }))
    .delayMs
}

describe('what failed', () => {
  it('waits longer with each failure in a row, each for itself', () => {
    expect([fail('app'), fail('app'), fail('app'), fail('proxy')]).toEqual([250, 500, 1000, 250])
  })

  it('waits until its time has come, and what has not failed does not', async () => {
    fail('app')
    expect(setbacks.leftMs('app')).toBe(250)
    expect(setbacks.leftMs('proxy')).toBeLessThanOrEqual(0)
    await clock.advance(200)
    expect(setbacks.leftMs('app')).toBe(50)
    await clock.advance(50)
    expect(setbacks.leftMs('app')).toBeLessThanOrEqual(0)
  })

  it('does not wait longer or shorter because the wall clock was set', () => {
    fail('app')
    clock.stepWall(-3_600_000)
    expect(setbacks.leftMs('app')).toBe(250)
    clock.stepWall(7_200_000)
    expect(setbacks.leftMs('app')).toBe(250)
  })

  it('begins anew once it has got over it', () => {
    fail('app')
    fail('app')
    setbacks.over('app')
    expect(setbacks.leftMs('app')).toBeLessThanOrEqual(0)
    expect(fail('app')).toBe(250)
  })

  it('is tried at once when what was missing may be there, and waits longer still when it is not', async () => {
    fail('app')
    fail('app')
    fail(wholePod)
    await clock.advance(10)
    setbacks.lift()
    expect(Math.max(setbacks.leftMs('app'), setbacks.leftMs(wholePod))).toBeLessThanOrEqual(0)
    expect(fail('app')).toBe(1000)
  })
})

describe('the silence of the runtime', () => {
  const silence = new SpillwayError('Unavailable', 'start', { cause: { code: 4 } })

  it('lasts from the first try that it has broken off, through all others', async () => {
    expect(setbacks.silentMs).toBe(0)
    fail('app')
    await clock.advance(1000)
    expect(setbacks.silentMs).toBe(0)
    setbacks.failed('app', silence)
    await clock.advance(500)
    setbacks.failed('app', silence)
    setbacks.failed(wholePod, silence)
    await clock.advance(500)
    expect(setbacks.silentMs).toBe(1000)
  })

  it('is over with any other answer, and with the trouble itself', async () => {
    for (const key of ['app', 'proxy']) setbacks.failed(key, silence)
    await clock.advance(500)
    fail('app')
    expect(setbacks.silentMs).toBe(500)
    setbacks.over('proxy')
    expect(setbacks.silentMs).toBe(0)
  })
})

describe('the trouble of a Pod', () => {
  it('is its latest, until that is over; then the one before', () => {
    expect(setbacks.trouble).toBeUndefined()
    fail('app')
    fail('proxy', 'ErrImagePull')
    expect(setbacks.trouble).toEqual({ reason: 'ErrImagePull', message: 'proxy failed' })
    fail('app', 'RunContainerError')
    expect(setbacks.trouble?.reason).toBe('RunContainerError')
    setbacks.over('app')
    expect(setbacks.trouble?.reason).toBe('ErrImagePull')
    setbacks.over('proxy')
    expect(setbacks.trouble).toBeUndefined()
  })

  it('still stands while it is being tried again', () => {
    fail('app')
    setbacks.lift()
    expect(setbacks.trouble?.message).toBe('app failed')
  })

  it('is none of a container that nobody tries any more', () => {
    for (const key of [wholePod, 'app', 'gone', 'ended']) fail(key)
    setbacks.keep([wholePod, 'app'])
    expect(setbacks.trouble?.message).toBe('app failed')
    setbacks.keep([wholePod])
    expect(setbacks.trouble?.message).toBe('the Pod failed')
  })
})
