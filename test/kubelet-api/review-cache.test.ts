import { describe, expect, it } from 'vitest'
import { ReviewCache } from '../../src/kubelet-api/review-cache.ts'
import { FakeClock } from '../support/fake-clock.ts'

describe('ReviewCache', () => {
  it('asks once for a while, and once at a time', async () => {
    const clock = new FakeClock()
    const cache = new ReviewCache<number>({ clock, keepMs: () => 1000 })
    let asked = 0
    const ask = async (): Promise<number> => (asked += 1)
    expect(await Promise.all([cache.get('a', ask), cache.get('a', ask)])).toEqual([1, 1])
    await clock.advance(999)
    expect(await cache.get('a', ask)).toBe(1)
    await clock.advance(1)
    expect(await cache.get('a', ask)).toBe(2)
  })

  it('keeps no errors, and no more entries than it may', async () => {
    const cache = new ReviewCache<number>({ clock: new FakeClock(), keepMs: () => 1000, mostEntries: 2 })
    await expect(cache.get('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    expect(await cache.get('a', async () => 1)).toBe(1)
    await cache.get('b', async () => 1)
    await cache.get('c', async () => 1)
    expect(await cache.get('a', async () => 2)).toBe(2)
  })

  it('tells what the answer was before it got old, also after a failure', async () => {
    const clock = new FakeClock()
    const cache = new ReviewCache<number>({ clock, keepMs: () => 1000 })
    const told: unknown[] = []
    const ask = async (last: number | undefined): Promise<number> => {
      told.push(last)
      return 7
    }
    await cache.get('a', ask)
    await clock.advance(1000)
    await expect(cache.get('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    await cache.get('a', ask)
    expect(told).toEqual([undefined, 7])
  })

  it('forgets nothing for a question that cannot be asked', async () => {
    const cache = new ReviewCache<number>({ clock: new FakeClock(), keepMs: () => 1000, mostEntries: 1 })
    await cache.get('a', async () => 1)
    const refuse = (): Promise<number> => {
      throw new Error('too many')
    }
    await expect(cache.get('b', refuse)).rejects.toThrow('too many')
    expect(await cache.get('a', async () => 2)).toBe(1)
  })
})
