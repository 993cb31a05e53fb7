import { describe, expect, test } from 'vitest'
import type { KubeApi } from '../../src/kube/api.ts'
import { OptionalKind } from '../../src/kube/optional-kind.ts'
import { configMaps } from '../../src/kube/resources.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { ConfigMap, KubeList, KubeObject } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

const widgets = { ...configMaps, group: 'example.com', plural: 'widgets' }

/** An API server whose answer to what it serves the test changes; it has one widget. */
function server(): { api: Pick<KubeApi, 'list' | 'watch' | 'getText'>; served: boolean | 'no answer' } {
  const state = {
    served: false as boolean | 'no answer',
    api: {
      getText: async () => {
        if (state.served === 'no answer') throw new SpillwayError('Unavailable', 'no answer')
        if (!state.served) throw new SpillwayError('NotFound', 'no such group')
        return JSON.stringify({ resources: [{ name: 'widgets' }] })
      },
      list: async <T extends KubeObject>() => {
        if (state.served !== true) throw new SpillwayError('NotFound', 'no such kind')
        const item: ConfigMap = {
          metadata: { name: 'one', namespace: 'default', uid: 'u', resourceVersion: '1' },
        }
        return { metadata: { resourceVersion: '1' }, items: [item] } as unknown as KubeList<T>
      },
      watch: async function* (_resource: unknown, _options: unknown, signal: AbortSignal) {
        yield { type: 'BOOKMARK', resourceVersion: '2' } as const
        await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        })
      },
    } satisfies Pick<KubeApi, 'list' | 'watch' | 'getText'>,
  }
  return state
}

async function watched(
  served: boolean | 'no answer',
  run: (kind: OptionalKind<ConfigMap>, clock: FakeClock, state: ReturnType<typeof server>) => Promise<void>,
) {
  const state = server()
  const clock = new FakeClock()
  const kind = new OptionalKind<ConfigMap>({
    api: state.api,
    resource: widgets,
    clock,
    backoff: () => 1000,
    log: silentLog(),
  })
  const ending = new AbortController()
  state.served = served
  const running = kind.run(ending.signal)
  await run(kind, clock, state)
  ending.abort()
  await running
}

describe('a kind that not every API server has', () => {
  test('is known to have no objects where it is not served', async () => {
    await watched(false, async (kind, clock) => {
      expect(kind.known).toBe(false)
      await clock.advance(1)
      expect(kind.known).toBe(true)
      expect(kind.store.list()).toEqual([])
    })
  })

  test('is not known while there is no answer', async () => {
    await watched('no answer', async (kind, clock) => {
      await clock.advance(10_000)
      expect(kind.known).toBe(false)
    })
  })

  test('is followed within seconds when its definition comes later, and let go when it goes', async () => {
    await watched(false, async (kind, clock, state) => {
      let told = 0
      kind.subscribe(() => (told += 1))
      await clock.advance(1000)
      state.served = true
      await clock.advance(10_000)
      expect(kind.store.list()).toHaveLength(1)
      expect(told).toBeGreaterThan(0)
      // Without an answer it is not gone.
      state.served = 'no answer'
      await clock.advance(30_000)
      expect(kind.store.list()).toHaveLength(1)
      state.served = false
      await clock.advance(20_000)
      expect(kind.known).toBe(true)
      expect(kind.store.list()).toEqual([])
      state.served = true
      await clock.advance(20_000)
      expect(kind.store.list()).toHaveLength(1)
    })
  })
})
