import { describe, expect, it } from 'vitest'
import { FakeClock } from './fake-clock.ts'

const never = new AbortController().signal

describe('FakeClock', () => {
  it('ends sleeps in the order in which they are due, each at its own instant', async () => {
    const clock = new FakeClock()
    const seen: [string, number][] = []
    const sleeper = async (name: string, durationMs: number): Promise<void> => {
      await clock.sleep(durationMs, never)
      seen.push([name, clock.monotonicMs()])
    }
    const both = Promise.all([sleeper('late', 200), sleeper('early', 100)])
    await clock.advance(150)
    expect(seen).toEqual([['early', 100]])
    await clock.advance(50)
    await both
    expect(seen).toEqual([['early', 100], ['late', 200]]) // prettier-ignore
  })

  it('also ends within one advance what an ended sleep starts', async () => {
    const clock = new FakeClock()
    let rounds = 0
    const loop = async (signal: AbortSignal): Promise<void> => {
      for (;;) {
        await clock.sleep(10, signal)
        rounds += 1
      }
    }
    const stop = new AbortController()
    const running = loop(stop.signal)
    await clock.advance(100)
    expect(rounds).toBe(10)
    stop.abort(new Error('over'))
    await expect(running).rejects.toThrow('over')
    expect(clock.pending).toBe(0)
  })

  it('steps the wall clock apart from the monotonic one', async () => {
    const clock = new FakeClock(1000)
    clock.stepWall(-500)
    expect([clock.wallMs(), clock.monotonicMs()]).toEqual([500, 0])
    await clock.advance(100)
    expect([clock.wallMs(), clock.monotonicMs()]).toEqual([600, 100])
  })

  it('does not call a cancelled timer', async () => {
    const clock = new FakeClock()
    let called = false
    const cancel = clock.timer(10, () => {
      called = true
    })
    cancel()
    await clock.advance(20)
    expect(called).toBe(false)
  })
})
