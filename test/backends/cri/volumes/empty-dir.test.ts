import { describe, expect, it } from 'vitest'
import { memoryBytes } from '../../../../src/backends/cri/volumes/empty-dir.ts'
import { noswap } from '../../../../src/backends/cri/volumes/mounts.ts'
import { containerOf, podOf } from '../fake-sources.ts'

const gib = 2n ** 30n

function sizeOf(sizeLimit: string | undefined, memoryLimit: string | undefined): bigint {
  const limits = memoryLimit === undefined ? {} : { memory: memoryLimit }
  const pod = podOf({ containers: [containerOf({ resources: { limits } })] })
  const volume = {
    name: 'v',
    emptyDir: { medium: 'Memory', ...(sizeLimit !== undefined && { sizeLimit }) },
  }
  return memoryBytes({ volume, pod, allocatableMemoryBytes: 8n * gib })
}

describe('an emptyDir in memory', () => {
  it.each([
    ['1Gi', '2Gi', gib],
    ['4Gi', '2Gi', 2n * gib],
    [undefined, '2Gi', 2n * gib],
    ['16Gi', undefined, 8n * gib],
    ['0', undefined, 8n * gib],
  ])('with the limit %s in a Pod of %s holds %s bytes', (sizeLimit, memoryLimit, bytes) => {
    expect(sizeOf(sizeLimit, memoryLimit)).toBe(bytes)
  })
})

describe('keeping it off the swap device', () => {
  const first = '         0          0 4294967295\n'

  it.each([
    ['6.4.0', first, ['noswap']],
    ['6.18.44-fc', first, ['noswap']],
    ['7.0', first, ['noswap']],
    ['6.3.9', first, []],
    ['5.15.0-100-generic', first, []],
    ['6.18.44', '         0     100000      65536\n', []],
  ])('on kernel %s with user ids %j takes %j', (release, uidMap, options) => {
    expect(noswap(release, uidMap)).toEqual(options)
  })
})
