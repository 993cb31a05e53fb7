import { describe, expect, it } from 'vitest'
import type { KubeApi, WatchEvent } from '../../src/kube/api.ts'
import { reflect } from '../../src/kube/reflector.ts'
import { configMaps } from '../../src/kube/resources.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { ConfigMap, KubeList, KubeObject } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

type List = { readonly resourceVersion: string; readonly items: readonly ConfigMap[] } | SpillwayError
type Watch = readonly (WatchEvent<ConfigMap> | SpillwayError)[]

/** Answers lists and watches in the order given; the last watch stays open. What was asked goes into `asked`. */
function scripted(
  lists: List[],
  watches: Watch[],
): { api: Pick<KubeApi, 'list' | 'watch'>; asked: string[] } {
  const asked: string[] = []
  const api: Pick<KubeApi, 'list' | 'watch'> = {
    list: async <T extends KubeObject>() => {
      asked.push('list')
      const list = lists.shift()
      if (!list || list instanceof SpillwayError) throw list ?? new Error('no list is left')
      const { resourceVersion, items } = list
      return { metadata: { resourceVersion }, items } as unknown as KubeList<T>
    },
    watch: async function* <T extends KubeObject>(
      _resource: unknown,
      options: { resourceVersion: string; onOpen?: () => void },
      signal: AbortSignal,
    ) {
      asked.push(`watch from ${options.resourceVersion}`)
      options.onOpen?.()
      for (const event of watches.shift() ?? []) {
        if (event instanceof SpillwayError) throw event
        yield event as unknown as WatchEvent<T>
      }
      if (watches.length > 0) return
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    },
  }
  return { api, asked }
}

function configMap(name: string, resourceVersion: string): ConfigMap {
  return { metadata: { namespace: 'default', name, uid: `uid-${name}`, resourceVersion } }
}

async function run(
  lists: List[],
  watches: Watch[],
  durationMs: number,
): Promise<{ asked: string[]; names: string[]; contactMs: number | undefined }> {
  const clock = new FakeClock()
  const store = new ObjectStore<ConfigMap>({ log: silentLog() })
  const { api, asked } = scripted(lists, watches)
  const stop = new AbortController()
  const options = { api, resource: configMaps, selection: {}, store, clock, log: silentLog() }
  const running = reflect({ ...options, backoff: (failures) => failures * 100 }, stop.signal)
  await clock.advance(durationMs)
  stop.abort(new Error('over'))
  await running
  return {
    asked,
    names: store.list().map(({ metadata }) => metadata?.name ?? ''),
    contactMs: store.lastContactMs,
  }
}

const added = (name: string, version: string): WatchEvent<ConfigMap> => ({
  type: 'ADDED',
  object: configMap(name, version),
})
const deleted = (name: string, version: string): WatchEvent<ConfigMap> => ({
  type: 'DELETED',
  object: configMap(name, version),
})

describe('reflect', () => {
  it('lists, then follows the watch', async () => {
    const lists = [{ resourceVersion: '5', items: [configMap('a', '1'), configMap('b', '2')] }]
    const { asked, names } = await run(lists, [[added('c', '6'), deleted('a', '7')]], 0)
    expect(asked).toEqual(['list', 'watch from 5'])
    expect(names).toEqual(['b', 'c'])
  })

  it('watches on from the last bookmark after the watch ended, without listing', async () => {
    const bookmark = { type: 'BOOKMARK', resourceVersion: '90' } as const
    const { asked } = await run([{ resourceVersion: '5', items: [] }], [[added('a', '6'), bookmark], []], 0)
    expect(asked).toEqual(['list', 'watch from 5', 'watch from 90'])
  })

  it('removes what was deleted while its version expired', async () => {
    const lists = [
      { resourceVersion: '5', items: [configMap('a', '1'), configMap('b', '2')] },
      { resourceVersion: '50', items: [configMap('b', '2')] },
    ]
    const { asked, names } = await run(lists, [[new SpillwayError('Expired', 'too old')], []], 0)
    expect(asked).toEqual(['list', 'watch from 5', 'list', 'watch from 50'])
    expect(names).toEqual(['b'])
  })

  it('waits longer after each failure and keeps what it has meanwhile', async () => {
    const refused = new SpillwayError('Unavailable', 'ECONNREFUSED')
    const lists = [refused, refused, { resourceVersion: '5', items: [configMap('a', '1')] }]
    const watches = [[refused], [refused], []]
    const beforeLast = await run([...lists], [...watches], 100 + 200 + 300 + 399)
    expect(beforeLast.asked).toEqual(['list', 'list', 'list', 'watch from 5', 'watch from 5'])
    expect(beforeLast.names).toEqual(['a'])
    const { asked } = await run([...lists], [...watches], 100 + 200 + 300 + 400)
    expect(asked).toHaveLength(6)
  })

  it('waits as long as a busy server wants', async () => {
    const busy = new SpillwayError('Busy', 'later', { afterMs: 7000 })
    const lists = (): List[] => [busy, { resourceVersion: '5', items: [] }]
    expect((await run(lists(), [[]], 6999)).asked).toEqual(['list'])
    expect((await run(lists(), [[]], 7000)).asked).toEqual(['list', 'list', 'watch from 5'])
  })

  it('opens a silent watch anew at once, and knows when it last heard of the server', async () => {
    const stall = new SpillwayError('Unavailable', 'nothing came', { reason: 'WatchStalled' })
    const { asked, contactMs } = await run([{ resourceVersion: '5', items: [] }], [[stall], []], 0)
    expect(asked).toEqual(['list', 'watch from 5', 'watch from 5'])
    expect(contactMs).toBe(0)
  })
})
