import { describe, expect, it } from 'vitest'
import type { StoreChange } from '../../src/kube/api.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'

function pod(name: string, uid: string, resourceVersion: string, nodeName = 'burst-0'): Pod {
  return {
    metadata: { namespace: 'default', name, uid, resourceVersion },
    spec: { containers: [], nodeName },
  }
}

function storeWith(...pods: readonly Pod[]): {
  store: ObjectStore<Pod>
  changes: (readonly [string | undefined, string | undefined])[]
} {
  const store = new ObjectStore<Pod>({
    log: silentLog(),
    indices: { node: (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []) },
  })
  store.replaceAll(pods)
  const changes: (readonly [string | undefined, string | undefined])[] = []
  const short = (pod: Pod | undefined): string | undefined =>
    pod && `${pod.metadata?.uid}@${pod.metadata?.resourceVersion}`
  store.subscribe(({ before, after }: StoreChange<Pod>) => changes.push([short(before), short(after)]))
  return { store, changes }
}

const a = { namespace: 'default', name: 'a' }

describe('ObjectStore', () => {
  it('finds objects by name, by UID and by index', () => {
    const { store } = storeWith(pod('a', 'u1', '1'), pod('b', 'u2', '1', 'burst-1'))
    expect(store.get(a)?.metadata?.uid).toBe('u1')
    expect(store.byUid('u2')?.metadata?.name).toBe('b')
    expect(store.byIndex('node', 'burst-1')).toHaveLength(1)
    store.put(pod('b', 'u2', '2', 'burst-0'))
    expect(store.byIndex('node', 'burst-0')).toHaveLength(2)
    expect(store.byIndex('node', 'burst-1')).toEqual([])
    expect(() => store.byIndex('zone', 'x')).toThrow('the store has no index "zone"')
  })

  it('tells additions, changes and removals, and the same version only once', () => {
    const { store, changes } = storeWith()
    store.put(pod('a', 'u1', '1'))
    store.put(pod('a', 'u1', '1'))
    store.put(pod('a', 'u1', '2'))
    store.remove(pod('a', 'u1', '3'))
    store.remove(pod('a', 'u1', '3'))
    expect(changes).toEqual([[undefined, 'u1@1'], ['u1@1', 'u1@2'], ['u1@2', undefined]]) // prettier-ignore
    expect([store.list(), store.byUid('u1')]).toEqual([[], undefined])
  })

  it('tells the difference of a re-list, deletions included', () => {
    const { store, changes } = storeWith(pod('a', 'u1', '1'), pod('b', 'u2', '1'), pod('c', 'u3', '1'))
    store.replaceAll([pod('b', 'u2', '1'), pod('c', 'u3', '5'), pod('d', 'u4', '4')])
    expect(changes).toEqual([['u1@1', undefined], ['u3@1', 'u3@5'], [undefined, 'u4@4']]) // prettier-ignore
    expect(store.list().map((pod) => pod.metadata?.name)).toEqual(['b', 'c', 'd'])
  })

  it('takes another object under the same name for a removal and an addition', () => {
    const { store, changes } = storeWith(pod('a', 'u1', '1'))
    store.replaceAll([pod('a', 'u9', '7')])
    expect(changes).toEqual([['u1@1', undefined], [undefined, 'u9@7']]) // prettier-ignore
    expect([store.byUid('u1'), store.get(a)?.metadata?.uid]).toEqual([undefined, 'u9'])
    store.remove(pod('a', 'u1', '8'))
    expect(store.get(a)?.metadata?.uid).toBe('u9')
  })

  it('goes on when a listener throws', () => {
    const { store, changes } = storeWith()
    const unsubscribe = store.subscribe(() => {
      throw new Error('bad listener')
    })
    const later: string[] = []
    store.subscribe(() => void later.push('told'))
    store.put(pod('a', 'u1', '1'))
    unsubscribe()
    store.put(pod('a', 'u1', '2'))
    expect([changes.length, later.length, store.list().length]).toEqual([2, 2, 1])
  })

  it('is synced from the first list on, even an empty one', async () => {
    const store = new ObjectStore<Pod>({ log: silentLog() })
    const stop = new AbortController()
    const waiting = store.whenSynced(stop.signal)
    const aborted = expect(store.whenSynced(AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
    expect(store.synced).toBe(false)
    store.replaceAll([])
    await waiting
    await aborted
    expect(store.synced).toBe(true)
  })
})
