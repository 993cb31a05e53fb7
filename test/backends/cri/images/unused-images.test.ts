import { describe, expect, it } from 'vitest'
import { unusedImages, type UnusedImagesInput } from '../../../../src/backends/cri/images/unused-images.ts'
import { anImage } from '../fake-runtime.ts'

const nowMs = 1_000_000

function unused(input: Partial<UnusedImagesInput> & Pick<UnusedImagesInput, 'histories'>): string[] {
  const images = [...input.histories.keys()].map((id) => anImage(id))
  const all = { images, used: new Set<string>(), nowMs, minimumAgeMs: 1000, ...input }
  return unusedImages(all).map(({ id }) => id)
}

describe('images that may be removed', () => {
  it('are those that nobody has used for the longest first, then the older', () => {
    const histories = new Map([
      ['lately', { firstSeenMs: 1, lastUsedMs: 900 }],
      ['long ago', { firstSeenMs: 3, lastUsedMs: 100 }],
      ['never, young', { firstSeenMs: 2, lastUsedMs: undefined }],
      ['never, old', { firstSeenMs: 1, lastUsedMs: undefined }],
    ])
    expect(unused({ histories })).toEqual(['never, old', 'never, young', 'long ago', 'lately'])
  })

  it('are none that are used, or the runtime’s own', () => {
    const old = { firstSeenMs: 0, lastUsedMs: undefined }
    const histories = new Map([
      ['used', old],
      ['idle', old],
      ['pinned', old],
    ])
    const images = [anImage('used'), anImage('idle'), { ...anImage('pinned'), pinned: true }]
    expect(unused({ histories, images, used: new Set(['used']) })).toEqual(['idle'])
  })

  it('are none that may have been pulled for a container that is about to be made', () => {
    const histories = new Map([
      ['young', { firstSeenMs: nowMs - 999, lastUsedMs: undefined }],
      ['of age', { firstSeenMs: nowMs - 1000, lastUsedMs: undefined }],
    ])
    expect(unused({ histories })).toEqual(['of age'])
    expect(unused({ histories, images: [anImage('unheard of')] })).toEqual([])
  })
})
