import { afterEach, beforeEach, expect, test } from 'vitest'
import type { KubeApi, Resource } from '../../src/kube/api.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { KubeList, KubeObject } from '../../src/model/kubernetes.ts'
import { LiveVolumes } from '../../src/scheduling/live-volumes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

let clock: FakeClock
let ending: AbortController
let running: Promise<void>
let volumes: LiveVolumes
let isAllowed: boolean
let asked: string[]

beforeEach(() => {
  clock = new FakeClock()
  ending = new AbortController()
  isAllowed = true
  asked = []
  const api: Pick<KubeApi, 'list' | 'watch'> = {
    list: async <T extends KubeObject>({ kind }: Resource<T>) => {
      asked.push(kind)
      if (!isAllowed) throw new SpillwayError('Forbidden', 'may not list')
      const items = [{ metadata: { name: `a ${kind}`, uid: kind, resourceVersion: '1' } }]
      return { metadata: { resourceVersion: '1' }, items } as unknown as KubeList<T>
    },
    watch: async function* (_resource: unknown, _options: unknown, signal: AbortSignal) {
      yield { type: 'BOOKMARK', resourceVersion: '2' } as const
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    },
  }
  volumes = new LiveVolumes({ api, clock, backoff: () => 1_000, log: silentLog() })
  running = volumes.run(ending.signal)
})
afterEach(async () => {
  ending.abort()
  await running
})

test('nothing is asked for before somebody wants it', async () => {
  await clock.advance(100_000)
  expect(asked).toEqual([])
  expect(volumes.awaited).toBe(false)
  expect(volumes.objects()).toBeUndefined()
  volumes.want()
  expect(volumes.awaited).toBe(true)
  let told = 0
  volumes.subscribe(() => (told += 1))
  await clock.advance(1)
  expect(volumes.awaited).toBe(false)
  expect(volumes.objects()?.claims.map(({ metadata }) => metadata?.name)).toEqual(['a PersistentVolumeClaim'])
  expect(volumes.objects()?.volumes).toHaveLength(1)
  expect(volumes.objects()?.classes).toHaveLength(1)
  expect(told).toBeGreaterThan(0)
})

test('who may not read them waits no longer than half a minute, and is told', async () => {
  isAllowed = false
  volumes.want()
  const told: boolean[] = []
  volumes.subscribe(() => told.push(volumes.awaited))
  await clock.advance(29_999)
  expect(volumes.awaited).toBe(true)
  await clock.advance(1)
  expect(volumes.awaited).toBe(false)
  expect(volumes.objects()).toBeUndefined()
  expect(told.at(-1)).toBe(false)
  isAllowed = true
  await clock.advance(5_000)
  expect(volumes.objects()).toBeDefined()
})

test('one answer asks for itself, and may be that they cannot be read', async () => {
  expect((await volumes.read(ending.signal))?.volumes).toHaveLength(1)
  expect(volumes.objects()).toBeUndefined()
  isAllowed = false
  expect(await volumes.read(ending.signal)).toBeUndefined()
})
