import { describe, expect, it } from 'vitest'
import type { Generation } from '../../src/webhook/generation.ts'
import { planGenerations } from '../../src/webhook/plan-generations.ts'

const address = '192.0.2.10'

/** Good from then to a hundred later. */
function madeAt(notBeforeMs: number, of = address): Generation {
  return {
    pair: { cert: '', key: '' },
    authority: '',
    notBeforeMs,
    notAfterMs: notBeforeMs + 100,
    covers: (asked) => asked === of,
  }
}

function step(current: Generation | undefined, next: Generation | undefined, nowMs: number): string {
  return planGenerations({ current, next }, { address, nowMs })
}

describe('the certificates of the webhook', () => {
  it('begin with a first one, which also comes when none is good any more', () => {
    expect(step(undefined, undefined, 0)).toBe('first')
    expect(step(madeAt(0), undefined, 100)).toBe('first')
    expect(step(madeAt(0), madeAt(50), 150)).toBe('first')
  })

  it('have a first one again for another address, or when the clock was set back', () => {
    expect(step(madeAt(0, '192.0.2.11'), undefined, 10)).toBe('first')
    expect(step(madeAt(50), undefined, 10)).toBe('first')
  })

  it('stay as they are for half of their life; then the next is made, and served with from three quarters on', () => {
    expect(step(madeAt(0), undefined, 49)).toBe('keep')
    expect(step(madeAt(0), undefined, 50)).toBe('next')
    expect(step(madeAt(0), madeAt(50), 74)).toBe('keep')
    expect(step(madeAt(0), madeAt(50), 75)).toBe('switch')
  })

  it('go on with the next at once when the current one ended while nobody was here', () => {
    expect(step(madeAt(0), madeAt(50), 120)).toBe('switch')
    expect(step(undefined, madeAt(50), 60)).toBe('switch')
  })

  it('have another next one when that is not good', () => {
    expect(step(madeAt(0), madeAt(-60), 60)).toBe('next')
  })
})
