import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CriOptions } from '../../../../src/backends/cri/config.ts'
import { ImageCollector } from '../../../../src/backends/cri/images/image-collector.ts'
import type { CriImage } from '../../../../src/backends/cri/runtime/cri-types.ts'
import { silentLog } from '../../../../src/telemetry/log.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

const { signal } = new AbortController()
const minute = 60_000

let clock: FakeClock
let dir: string
let present: CriImage[]
let used: string[]
let stuck: string[]

beforeEach(async () => {
  clock = new FakeClock()
  dir = await mkdtemp(join(tmpdir(), 'spillway-images-'))
  present = [image('old'), image('used'), image('pinned', { pinned: true }), image('idle')]
  used = ['used', 'idle']
  stuck = []
})
afterEach(async () => await rm(dir, { recursive: true }))

function image(id: string, over: Partial<CriImage> = {}): CriImage {
  return { id, repoTags: [], repoDigests: [], size: '1', uid: null, username: '', pinned: false, ...over }
}

function collector(policy: CriOptions['imageGc'] = {}): ImageCollector {
  const shelf = {
    images: async () => [...present],
    used: async () => new Set(used),
    disk: async () => dir,
    remove: async ({ id }: CriImage) => {
      if (stuck.includes(id)) throw new Error('in use')
      present = present.filter((one) => one.id !== id)
    },
  }
  return new ImageCollector({ shelf, policy, clock, log: silentLog() })
}

/** It sleeps until the next look. */
async function looked(): Promise<void> {
  await vi.waitFor(() => expect(clock.pending).toBe(1))
}

const left = (): string[] => present.map(({ id }) => id)

describe('images that nobody uses', () => {
  it('are kept for two minutes after they were first seen', async () => {
    const collecting = collector()
    await collecting.collectAll(signal)
    expect(left()).toEqual(['old', 'used', 'pinned', 'idle'])
    await clock.advance(2 * minute)
    await collecting.collectAll(signal)
    expect(left()).toEqual(['used', 'pinned', 'idle'])
  })

  it('go all when the disk is short, but for those that cannot be removed', async () => {
    const collecting = collector()
    await collecting.collectAll(signal)
    await clock.advance(5 * minute)
    used = ['used']
    stuck = ['old']
    await collecting.collectAll(signal)
    expect(left()).toEqual(['old', 'used', 'pinned'])
  })

  it('go one by one, the longest unused first, once the disk is fuller than it may be', async () => {
    const collecting = collector({ highThresholdPercent: 0, lowThresholdPercent: 0 })
    // All that is on the disk is too much: each of these alone frees more.
    present = present.map((one) => ({ ...one, size: String(1n << 60n) }))
    const end = new AbortController()
    const running = collecting.run(end.signal)
    await looked()
    await clock.advance(5 * minute)
    await looked()
    expect(left()).toEqual(['used', 'pinned', 'idle'])
    used = ['used']
    await clock.advance(5 * minute)
    await looked()
    expect(left()).toEqual(['used', 'pinned'])
    end.abort()
    await running
  })

  it('stay while there is room, and always when the threshold is 100', async () => {
    for (const policy of [
      { highThresholdPercent: 99, lowThresholdPercent: 99 },
      { highThresholdPercent: 100 },
    ]) {
      const end = new AbortController()
      const running = collector(policy).run(end.signal)
      await looked()
      await clock.advance(5 * minute)
      await looked()
      expect(left()).toEqual(['old', 'used', 'pinned', 'idle'])
      end.abort()
      await running
    }
  })
})
