import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeyQueue } from '../../src/control/queue.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'

const never = new AbortController().signal

function queueOf(concurrency = 10): { clock: FakeClock; queue: KeyQueue } {
  const clock = new FakeClock()
  return { clock, queue: new KeyQueue({ clock, concurrency }) }
}

describe('KeyQueue', () => {
  it('hands out a key once, however often it is wished for', async () => {
    const { queue } = queueOf()
    queue.add('a')
    queue.add('a')
    queue.add('b')
    expect([await queue.take(never), await queue.take(never)]).toEqual(['a', 'b'])
    expect(queue.waiting).toBe(0)
  })

  it('lets the earliest wish win, whichever order they come in', async () => {
    const { clock, queue } = queueOf()
    queue.add('a', 1000)
    queue.add('a', 100)
    queue.add('a', 500)
    const taken = queue.take(never).then((key) => [key, clock.monotonicMs()])
    await clock.advance(2000)
    expect(await taken).toEqual(['a', 100])
    expect(clock.pending).toBe(0)
  })

  it('does not hand out a key that is in flight, and hands it out again afterwards', async () => {
    const { queue } = queueOf()
    queue.add('a')
    await queue.take(never)
    queue.add('a')
    let again: string | undefined
    const taking = queue.take(never).then((key) => {
      again = key
    })
    await settled()
    expect(again).toBeUndefined()
    queue.done('a')
    await taking
    expect(again).toBe('a')
  })

  it('counts the delay of a wish made in flight from the wish on', async () => {
    const { clock, queue } = queueOf()
    queue.add('a')
    await queue.take(never)
    queue.add('a', 100)
    await clock.advance(60)
    queue.done('a')
    const taken = queue.take(never).then(() => clock.monotonicMs())
    await clock.advance(100)
    expect(await taken).toBe(100)
  })

  it('holds back what is beyond the limit', async () => {
    const { queue } = queueOf(1)
    queue.add('a')
    queue.add('b')
    await queue.take(never)
    const second = queue.take(never)
    await settled()
    expect([queue.inFlight, queue.waiting]).toEqual([1, 1])
    queue.done('a')
    expect(await second).toBe('b')
  })

  it('forgets a removed key', async () => {
    const { clock, queue } = queueOf()
    queue.add('a')
    queue.add('b', 10)
    queue.remove('a')
    queue.remove('b')
    expect([queue.waiting, clock.pending]).toEqual([0, 0])
  })

  it('rejects a take whose signal is aborted, and loses no key by it', async () => {
    const { queue } = queueOf()
    const stop = new AbortController()
    const taking = queue.take(stop.signal)
    stop.abort(new Error('over'))
    await expect(taking).rejects.toThrow('over')
    queue.add('a')
    expect(await queue.take(never)).toBe('a')
  })

  it('neither loses a wish nor works on a key twice at once, in any order of events', async () => {
    const key = fc.constantFrom('a', 'b', 'c')
    const wish = fc.record({ key, delayMs: fc.nat(30), afterMs: fc.nat(20) })
    await fc.assert(
      fc.asyncProperty(
        fc.array(wish, { maxLength: 25 }),
        fc.integer({ min: 1, max: 3 }),
        async (wishes, places) => {
          const { clock, queue } = queueOf(places)
          const stop = new AbortController()
          const busy = new Set<string>()
          const lastStartMs = new Map<string, number>()
          const work = async (key: string): Promise<void> => {
            expect(busy.has(key)).toBe(false)
            busy.add(key)
            expect(busy.size).toBeLessThanOrEqual(places)
            lastStartMs.set(key, clock.monotonicMs())
            await clock.sleep(7, never)
            busy.delete(key)
            queue.done(key)
          }
          const taking = (async () => {
            for (;;) void work(await queue.take(stop.signal))
          })().catch(() => undefined)
          const lastWishMs = new Map<string, number>()
          for (const { key, delayMs, afterMs } of wishes) {
            queue.add(key, delayMs)
            lastWishMs.set(key, clock.monotonicMs())
            await clock.advance(afterMs)
          }
          await clock.advance(1000)
          for (const [key, wishedMs] of lastWishMs)
            expect(lastStartMs.get(key)).toBeGreaterThanOrEqual(wishedMs)
          expect([queue.waiting, queue.inFlight]).toEqual([0, 0])
          stop.abort()
          await taking
        },
      ),
      { numRuns: 40 },
    )
  })
})
