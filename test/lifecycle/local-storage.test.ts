import { describe, expect, it } from 'vitest'
import { limitsLocalStorage, localStorageExcess } from '../../src/lifecycle/local-storage.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PodUsage } from '../../src/model/pod-usage.ts'

const mebi = 1024n * 1024n
const atMs = 0
const used = (mebibytes: bigint) => ({ atMs, usedBytes: mebibytes * mebi })

function pod(spec: Partial<PodSpec>): Pod {
  return { spec: { containers: [{ name: 'web' }], ...spec } }
}

function limited(...limits: readonly string[]): Pod {
  const containers = limits.map((limit, index) => ({
    name: `c${index}`,
    resources: { limits: { 'ephemeral-storage': limit } },
  }))
  return pod({ containers })
}

function usage(parts: Partial<PodUsage>): PodUsage {
  const ref = { uid: asPodUid('uid'), namespace: 'shop', name: 'web' }
  return { ...ref, nodeName: 'burst-0', startedAtMs: 0, containers: [], ...parts }
}

const cache = pod({ volumes: [{ name: 'cache', emptyDir: { sizeLimit: '2Mi' } }] })

describe('what a Pod keeps on disk', () => {
  it('is watched only where there is a limit', () => {
    expect(limitsLocalStorage(pod({ volumes: [{ name: 'cache', emptyDir: {} }] }))).toBe(false)
    expect(limitsLocalStorage(cache)).toBe(true)
    expect(limitsLocalStorage(limited('1Mi'))).toBe(true)
  })

  it('may be as much as the limit, and no more', () => {
    const of = (mebibytes: bigint) =>
      localStorageExcess(cache, usage({ volumes: [{ name: 'cache', local: true, ...used(mebibytes) }] }))
    expect(of(2n)).toBeUndefined()
    expect(of(3n)).toBe('Usage of EmptyDir volume "cache" exceeds the limit "2Mi". ')
  })

  it('counts writable layer and logs of a container by its own limit', () => {
    const web = { name: 'c0', startedAtMs: 0, root: used(1n), logs: used(2n) }
    expect(localStorageExcess(limited('3Mi', '9Mi'), usage({ containers: [web] }))).toBeUndefined()
    expect(localStorageExcess(limited('2Mi', '9Mi'), usage({ containers: [web] }))).toBe(
      'Container c0 exceeded its local ephemeral storage limit "2Mi". ',
    )
  })

  it('counts containers, local volumes and other files together by the sum of the limits', () => {
    const web = { name: 'c0', startedAtMs: 0, root: used(1n) }
    const parts = {
      containers: [web],
      volumes: [
        { name: 'disk', local: true, ...used(1n) },
        { name: 'memory', local: false, ...used(90n) },
      ],
      otherFiles: used(1n),
    }
    expect(localStorageExcess(limited('2Mi', '1Mi'), usage(parts))).toBeUndefined()
    expect(localStorageExcess(limited('1Mi', '1Mi'), usage(parts))).toBe(
      'Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ',
    )
  })

  it('is nothing where nothing was measured', () => {
    expect(localStorageExcess(limited('1Mi'), usage({}))).toBeUndefined()
  })
})
