import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { podPaths } from '../../../../src/backends/cri/paths.ts'
import {
  keepMs,
  StorageUsage,
  type PodStorage,
  type StoredPod,
} from '../../../../src/backends/cri/usage/pod-storage.ts'
import type { VolumeUsage } from '../../../../src/model/pod-usage.ts'
import { aPod, uidOf } from '../../../support/builders.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

const { signal } = new AbortController()
const pod = aPod({
  spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data-0' } }] },
})
let folder: string
let stored: StoredPod
let clock: FakeClock
let storage: StorageUsage

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-storage-'))
  const uid = uidOf(pod)
  stored = { uid, pod, paths: podPaths(folder, { uid, namespace: 'default', name: 'web' }) }
  for (const directory of ['volumes/cache', 'volumes/data', 'volumes/cache.new']) {
    await mkdir(join(stored.paths.podDir, directory), { recursive: true })
  }
  await mkdir(join(stored.paths.logDir, 'main'), { recursive: true })
  await write('volumes/cache/file')
  await writeFile(join(stored.paths.logDir, 'main/0.log'), 'x'.repeat(5_000))
  clock = new FakeClock()
  storage = new StorageUsage(clock)
})

afterEach(async () => await rm(folder, { recursive: true }))

async function write(path: string): Promise<void> {
  await writeFile(join(stored.paths.podDir, path), 'x'.repeat(10_000))
}

it('finds volumes, logs and /etc/hosts where they are kept, and no drafts', async () => {
  const { volumes, logs, otherFiles } = await storage.of(stored, signal)
  expect(volumes.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toMatchObject([
    { name: 'cache', local: true, usedInodes: 2n },
    { name: 'data', local: false, claim: 'data-0', usedInodes: 1n },
  ])
  expect(logs.get('main')?.usedBytes).toBeGreaterThanOrEqual(5_000n)
  expect(otherFiles).toMatchObject({ usedBytes: 0n })
})

it('walks through volumes every five seconds at most, however many ask, and measures logs each time', async () => {
  const [one, other] = await Promise.all([storage.of(stored, signal), storage.of(stored, signal)])
  expect(one.volumes).toBe(other.volumes)
  await write('volumes/cache/more')
  await writeFile(join(stored.paths.logDir, 'main/1.log'), 'x'.repeat(5_000))
  await clock.advance(4_999)
  const soon = await storage.of(stored, signal)
  expect(soon.volumes).toBe(one.volumes)
  expect(soon.logs.get('main')).toMatchObject({ usedInodes: 3n })
  await clock.advance(1)
  expect(cacheIn(await storage.of(stored, signal))).toMatchObject({ usedInodes: 3n })
})

it('walks again the later, the longer it took: a tenth of the time, of all together up to a minute', () => {
  expect(keepMs({ tookMs: 0, allMs: 0 })).toBe(5_000)
  expect(keepMs({ tookMs: 100, allMs: 500 })).toBe(5_000)
  expect(keepMs({ tookMs: 100, allMs: 2_000 })).toBe(20_000)
  expect(keepMs({ tookMs: 100, allMs: 100_000 })).toBe(60_000)
  expect(keepMs({ tookMs: 30_000, allMs: 100_000 })).toBe(300_000)
})

it('forgets Pods that are gone', async () => {
  const before = await storage.of(stored, signal)
  storage.keepOnly(new Set())
  expect((await storage.of(stored, signal)).volumes).not.toBe(before.volumes)
})

function cacheIn({ volumes }: PodStorage): VolumeUsage | undefined {
  return volumes.find(({ name }) => name === 'cache')
}
