import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { podPaths } from '../../../../src/backends/cri/paths.ts'
import { StorageUsage, type StoredPod } from '../../../../src/backends/cri/usage/pod-storage.ts'
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

it('looks once a minute, however many ask', async () => {
  const [one, other] = await Promise.all([storage.of(stored, signal), storage.of(stored, signal)])
  expect(one).toBe(other)
  await write('volumes/cache/more')
  expect(await storage.of(stored, signal)).toBe(one)
  await clock.advance(60_000)
  const { volumes } = await storage.of(stored, signal)
  expect(volumes.find(({ name }) => name === 'cache')).toMatchObject({ usedInodes: 3n })
})

it('forgets Pods that are gone', async () => {
  const before = await storage.of(stored, signal)
  storage.keepOnly(new Set())
  expect(await storage.of(stored, signal)).not.toBe(before)
})
