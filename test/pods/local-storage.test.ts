import { beforeEach, describe, expect, it } from 'vitest'
import type { Backend } from '../../src/backends/backend.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PodUsage, UsageOptions } from '../../src/model/pod-usage.ts'
import { LocalStorage } from '../../src/pods/local-storage.ts'

const never = new AbortController().signal
const message = 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". '
const mark = { reason: 'Evicted', message }

function holding(uid: string, over: Partial<Pod> = {}): Pod {
  return {
    spec: { containers: [], volumes: [{ name: 'cache', emptyDir: { sizeLimit: '1Mi' } }] },
    ...over,
    metadata: { uid, namespace: 'shop', name: uid, ...over.metadata },
  }
}

function using(uid: string, usedBytes: bigint): PodUsage {
  const volumes = [{ name: 'cache', local: true, atMs: 0, usedBytes }]
  const ref = { uid: asPodUid(uid), namespace: 'shop', name: uid }
  return { ...ref, nodeName: 'burst-0', startedAtMs: 0, containers: [], volumes }
}

let asked: UsageOptions[]
let patched: unknown[]
let answer: (name: string) => Promise<Pod>
let told: string[]

beforeEach(() => {
  asked = []
  patched = []
  answer = (name) => Promise.resolve(holding(name))
  told = []
})

async function look(pods: readonly Pod[], usage: readonly PodUsage[]): Promise<void> {
  const backend = {
    usage: (options: UsageOptions) => {
      asked.push(options)
      return Promise.resolve({ atMs: 0, pods: usage })
    },
  } as unknown as Backend
  const api = {
    patch: async (_resource: unknown, { name }: { name: string }, { body }: { body: unknown }) => {
      patched.push(body)
      return await answer(name)
    },
  } as unknown as KubeApi
  const recordEvent = (pod: Pod, event: { readonly reason: string }): void => {
    told.push(`event ${event.reason} ${pod.metadata?.name}`)
  }
  const wrote = (pod: Pod): void => void told.push(`wrote ${pod.metadata?.name}`)
  await new LocalStorage({ backend, recordEvent }).look([{ pods, api, wrote }], never)
}

describe('a look at local storage', () => {
  it('marks what is over its limit, and nothing else', async () => {
    const pods = [holding('full'), holding('modest')]
    await look(pods, [using('full', 2n << 20n), using('modest', 1n << 20n)])
    expect(patched).toEqual([{ metadata: { uid: 'full' }, status: mark }])
    expect(told).toEqual(['wrote full', 'event Evicted full'])
  })

  it('measures only Pods that have a limit, that live, and that are not marked', async () => {
    const volumes = [{ name: 'cache', emptyDir: {} }]
    await look(
      [
        holding('free', { spec: { containers: [], volumes } }),
        holding('leaving', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }),
        holding('over', { status: { phase: 'Succeeded' } }),
        holding('marked', { status: mark }),
      ],
      [],
    )
    expect(asked).toEqual([])
    await look([holding('one'), holding('two', { status: { phase: 'Failed' } })], [])
    expect(asked).toEqual([{ storage: true, storageOf: new Set(['one']) }])
  })

  it('takes a Pod that went meanwhile as gone, and leaves other failures to the next look', async () => {
    answer = (name) => Promise.reject(new SpillwayError(name === 'gone' ? 'NotFound' : 'Unavailable', name))
    await look([holding('gone')], [using('gone', 2n << 20n)])
    expect(told).toEqual([])
    await expect(look([holding('full')], [using('full', 2n << 20n)])).rejects.toThrow('full')
  })
})
