import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RuntimeShelf } from '../../../../src/backends/cri/images/image-shelf.ts'
import type { FilesystemStats } from '../../../../src/backends/cri/usage/stats-types.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import { aPod } from '../../../support/builders.ts'
import { anImage } from '../fake-runtime.ts'
import { FakeSources } from '../fake-sources.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { ended, sandbox } from '../seen.ts'

const { signal } = new AbortController()
let pod: OnePod
let shelf: RuntimeShelf
let disks: () => Promise<readonly Pick<FilesystemStats, 'fsId'>[]>
let asked: number

beforeEach(async () => {
  pod = await OnePod.open()
  asked = 0
  const imageFilesystems = async () => {
    asked++
    return (await disks()) as readonly FilesystemStats[]
  }
  const client = Object.assign(pod.runtime.client, { imageFilesystems })
  shelf = new RuntimeShelf({ client, images: pod.handle.tools.images, pictures: () => [pod.handle.picture] })
})

afterEach(async () => await pod.close())

describe('the images of a machine', () => {
  it('are used by every container, whoever it is of and whether it runs, as its root or as a volume', async () => {
    const mounts = [{ containerPath: '/data', recursiveReadOnly: false, image: { image: 'sha256:data' } }]
    await pod.put(
      sandbox(),
      containerNamed('main', 0, {
        imageId: 'sha256:root',
        imageRef: 'registry.example/app@sha256:1',
        mounts,
      }),
      containerNamed('done', 0, { ...ended, imageId: 'sha256:done' }),
    )
    pod.runtime.put(containerNamed('stranger', 0, { imageId: 'sha256:stranger', labels: {} }))
    const used = await shelf.used(signal)
    for (const id of [
      'sha256:root',
      'registry.example/app@sha256:1',
      'sha256:data',
      'sha256:done',
      'sha256:stranger',
    ]) {
      expect(used).toContain(id)
    }
  })

  it('are ours to remove when we pulled them, and then their record goes too', async () => {
    pod.runtime.images.set('by-hand', anImage('sha256:by-hand'))
    const container = { image: 'registry.example/app:1' }
    const request = { pod: aPod(), container, sources: new FakeSources(), tell: () => {} }
    const image = await pod.handle.tools.images.ensure(request, signal)
    expect(await shelf.images(signal)).toEqual([image])
    await shelf.remove(image, signal)
    expect(await shelf.images(signal)).toEqual([])
    expect([...pod.runtime.images.keys()]).toEqual(['by-hand'])
  })
})

describe('the disk of the images', () => {
  it('is asked for until it is known, and then never again', async () => {
    disks = () => Promise.reject(new Error('not there yet'))
    await expect(shelf.disk(signal)).rejects.toThrow('not there yet')
    disks = () => Promise.resolve([])
    expect(await shelf.disk(signal)).toBeUndefined()
    disks = () => Promise.resolve([{ fsId: { mountpoint: '/images' } }])
    expect([await shelf.disk(signal), await shelf.disk(signal)]).toEqual(['/images', '/images'])
    expect(asked).toBe(3)
  })

  it('is unknown to a runtime that has no such call', async () => {
    disks = () => Promise.reject(new SpillwayError('Unsupported', 'unknown method ImageFsInfo'))
    expect(await shelf.disk(signal)).toBeUndefined()
  })
})
