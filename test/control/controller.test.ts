import { describe, expect, it } from 'vitest'
import { runController, type ControllerOptions } from '../../src/control/controller.ts'
import { KeyQueue } from '../../src/control/queue.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

interface Run {
  readonly clock: FakeClock
  readonly queue: KeyQueue
  /** When each reconcile of any key began, in monotonic milliseconds. */
  readonly startsMs: number[]
  readonly stop: () => Promise<void>
}

/** `reconcile` is called with the number of the call, from 1 on. */
function run(
  reconcile: (call: number, signal: AbortSignal) => ReturnType<ControllerOptions['reconcile']>,
): Run {
  const clock = new FakeClock()
  const queue = new KeyQueue({ clock, concurrency: 4 })
  const startsMs: number[] = []
  const stop = new AbortController()
  const running = runController(
    {
      name: 'test',
      queue,
      reconcile: (_key, signal) => {
        startsMs.push(clock.monotonicMs())
        return reconcile(startsMs.length, signal)
      },
      clock,
      random: () => 0.5,
      log: silentLog(),
      backoff: { firstMs: 100, longestMs: 1000, factor: 2, jitter: 0 },
    },
    stop.signal,
  )
  return {
    clock,
    queue,
    startsMs,
    stop: async () => {
      stop.abort(new Error('over'))
      await running
    },
  }
}

describe('runController', () => {
  it('tries what failed again, waiting longer each time, and forgets failures after a success', async () => {
    const { clock, queue, startsMs, stop } = run(async (call) => {
      if (call !== 4) throw new SpillwayError('Unavailable', 'down')
    })
    queue.add('a')
    await clock.advance(5000)
    expect(startsMs).toEqual([0, 100, 300, 700])
    queue.add('a')
    await clock.advance(99)
    expect(startsMs).toHaveLength(5)
    await clock.advance(1)
    expect(startsMs.slice(4)).toEqual([5000, 5100])
    await stop()
  })

  it('tries an unknown error again', async () => {
    const { clock, queue, startsMs, stop } = run(async (call) => {
      if (call === 1) throw new TypeError('undefined is not a function')
    })
    queue.add('a')
    await clock.advance(1000)
    expect(startsMs).toEqual([0, 100])
    await stop()
  })

  it('does not come back before a Busy side wants to be asked again', async () => {
    const { clock, queue, startsMs, stop } = run(async (call) => {
      if (call === 1) throw new SpillwayError('Busy', 'later', { afterMs: 4000 })
    })
    queue.add('a')
    await clock.advance(10_000)
    expect(startsMs).toEqual([0, 4000])
    await stop()
  })

  it('lets a key rest after a terminal error, until it is added again', async () => {
    const { clock, queue, startsMs, stop } = run(async () => {
      throw new SpillwayError('Rejected', 'never')
    })
    queue.add('a')
    await clock.advance(60_000)
    expect(startsMs).toEqual([0])
    queue.add('a')
    await clock.advance(60_000)
    expect(startsMs).toEqual([0, 60_000])
    await stop()
  })

  it('comes again after afterMs, or at once when the key is added meanwhile', async () => {
    const { clock, queue, startsMs, stop } = run(async (call) => (call <= 2 ? { afterMs: 500 } : undefined))
    queue.add('a')
    await clock.advance(600)
    queue.add('a')
    await clock.advance(5000)
    expect(startsMs).toEqual([0, 500, 600])
    await stop()
  })

  it('runs a key added while in flight once more afterwards', async () => {
    const first = Promise.withResolvers<void>()
    const { clock, queue, startsMs, stop } = run((call) => (call === 1 ? first.promise : Promise.resolve()))
    queue.add('a')
    await clock.advance(10)
    queue.add('a')
    queue.add('a')
    await clock.advance(10)
    expect(startsMs).toEqual([0])
    first.resolve()
    await clock.advance(10)
    expect(startsMs).toEqual([0, 20])
    await stop()
  })

  it('waits for work in flight when it is told to end', async () => {
    const slow = Promise.withResolvers<void>()
    let finished = false
    const { clock, queue, stop } = run(async (_call, signal) => {
      await slow.promise
      expect(signal.aborted).toBe(true)
      finished = true
    })
    queue.add('a')
    await clock.advance(1)
    const stopping = stop()
    slow.resolve()
    await stopping
    expect(finished).toBe(true)
  })
})
