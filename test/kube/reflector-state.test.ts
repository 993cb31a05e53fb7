import { describe, expect, it } from 'vitest'
import {
  initialState,
  nextReflectorState,
  type ReflectorInput,
  type ReflectorState,
} from '../../src/kube/reflector-state.ts'

function after(...inputs: readonly ReflectorInput[]): ReflectorState {
  return inputs.reduce(nextReflectorState, initialState)
}

const listed: ReflectorInput = { kind: 'listed', resourceVersion: '10' }
const heard: ReflectorInput = { kind: 'heard', resourceVersion: '12' }
const waited: ReflectorInput = { kind: 'waited' }
const stalled: ReflectorInput = { kind: 'stalled' }
const unavailable: ReflectorInput = { kind: 'failed', code: 'Unavailable', afterMs: 0 }
const expired: ReflectorInput = { kind: 'failed', code: 'Expired', afterMs: 0 }

describe('a reflector', () => {
  it('watches from the version of its list, then from that of the last event or bookmark', () => {
    expect(after(listed)).toMatchObject({ kind: 'watching', resourceVersion: '10' })
    expect(after(listed, heard, { kind: 'ended', lastedMs: 300_000 })).toMatchObject({
      kind: 'watching',
      resourceVersion: '12',
      heard: false,
    })
  })

  it('lists again after a failed list, not before the server wants it', () => {
    expect(after({ kind: 'failed', code: 'Busy', afterMs: 5000 })).toEqual({
      kind: 'waiting',
      failures: 1,
      atLeastMs: 5000,
      next: { kind: 'list' },
    })
    expect(after(unavailable, waited, unavailable, waited)).toEqual({ kind: 'listing', failures: 2 })
  })

  it('goes on from where it was after a connection broke', () => {
    expect(after(listed, heard, unavailable)).toEqual({
      kind: 'waiting',
      failures: 1,
      atLeastMs: 0,
      next: { kind: 'watch', resourceVersion: '12' },
    })
  })

  it('lists at once when its version expired, and slower when that happens again', () => {
    expect(after(listed, expired)).toEqual({ kind: 'listing', failures: 1 })
    expect(after(listed, expired, listed, expired)).toMatchObject({
      kind: 'waiting',
      failures: 2,
      next: { kind: 'list' },
    })
    expect(after(listed, expired, listed, heard, expired)).toEqual({ kind: 'listing', failures: 1 })
  })

  it('takes a watch that ends at once with nothing for a failure', () => {
    expect(after(listed, { kind: 'ended', lastedMs: 10 })).toMatchObject({ kind: 'waiting', failures: 1 })
    expect(after(listed, heard, { kind: 'ended', lastedMs: 10 })).toMatchObject({ kind: 'watching' })
  })

  it('gives a version up after watches from it failed again and again', () => {
    const rounds = Array.from({ length: 5 }, () => [unavailable, waited]).flat()
    expect(after(listed, ...rounds)).toMatchObject({ kind: 'watching', failures: 5 })
    expect(after(listed, ...rounds, unavailable)).toMatchObject({ kind: 'waiting', next: { kind: 'list' } })
  })

  it('goes on at once after a silent watch, but checks by a list when the silence lasts', () => {
    expect(after(listed, stalled)).toMatchObject({ kind: 'watching', resourceVersion: '10', failures: 0 })
    const silence = Array.from({ length: 5 }, () => stalled)
    expect(after(listed, ...silence)).toMatchObject({ kind: 'watching' })
    expect(after(listed, ...silence, stalled)).toEqual({ kind: 'listing', failures: 0 })
    expect(after(listed, ...silence, heard, stalled)).toMatchObject({ kind: 'watching', silent: 1 })
  })

  it('lists when a watch is refused for a reason that waiting does not mend', () => {
    for (const code of ['Forbidden', 'NotFound', 'Invalid', undefined] as const) {
      expect(after(listed, { kind: 'failed', code, afterMs: 0 })).toMatchObject({
        kind: 'waiting',
        next: { kind: 'list' },
      })
    }
  })

  it('throws for an input that cannot come in its state', () => {
    expect(() => after(heard)).toThrow('a reflector that is listing cannot have heard')
    expect(() => after(listed, waited)).toThrow('a reflector that is watching cannot have waited')
  })
})
