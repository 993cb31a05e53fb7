import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ImageAccess } from '../../../../src/backends/cri/images/image-access.ts'
import { PullRecords } from '../../../../src/backends/cri/images/pull-records.ts'

const image = 'r.example/app:1'
const name = 'r.example/app'
const id = 'sha256:1234'
const mine: ImageAccess = {
  kind: 'secrets',
  secrets: [{ uid: 'u', namespace: 'shop', name: 'pull', hash: 'h' }],
}
const nothing = async (): Promise<undefined> => undefined

let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-pulls-'))
})
afterEach(async () => await rm(dir, { recursive: true }))

describe('records of pulls', () => {
  it('are there for the next process, and for nobody else to read', async () => {
    const records = await PullRecords.open(dir)
    await records.begin(image)
    await records.grant(id, name, mine)
    await records.end(image)
    expect((await PullRecords.open(dir)).find(id)).toEqual({ imageId: id, access: { [name]: mine } })
    const [file = ''] = await readdir(join(dir, 'pulled'))
    expect((await stat(join(dir, 'pulled', file))).mode & 0o777).toBe(0o600)
  })

  it('know what is being pulled until the last of those who pull it is done', async () => {
    const records = await PullRecords.open(dir)
    await Promise.all([records.begin(image), records.begin(image)])
    await records.end(image)
    expect(records.isBeingPulled(image)).toBe(true)
    await records.end(image)
    expect(records.isBeingPulled(image)).toBe(false)
    expect(await readdir(join(dir, 'pulling'))).toEqual([])
  })

  it('give nobody rights to an image whose pull ended while nobody looked', async () => {
    await (await PullRecords.open(dir)).begin(image)
    const next = await PullRecords.open(dir)
    await next.recover([{ id }], async (asked) => (asked === image ? { id } : undefined))
    expect(next.find(id)).toEqual({ imageId: id, access: {} })
    expect(await readdir(join(dir, 'pulling'))).toEqual([])
  })

  it('keep the rights that are known when a later pull was cut short', async () => {
    const records = await PullRecords.open(dir)
    await records.grant(id, name, mine)
    await records.begin(image)
    const next = await PullRecords.open(dir)
    await next.recover([{ id }], async () => ({ id }))
    expect(next.find(id)?.access).toEqual({ [name]: mine })
  })

  it('forget images that are gone', async () => {
    const records = await PullRecords.open(dir)
    await records.grant(id, name, mine)
    await records.grant('sha256:5678', name, mine)
    await records.recover([{ id }], nothing)
    expect(records.find('sha256:5678')).toBeUndefined()
    expect(await readdir(join(dir, 'pulled'))).toHaveLength(1)
  })

  it('that cannot be read count as an image of ours with rights for nobody', async () => {
    const records = await PullRecords.open(dir)
    await records.grant(id, name, mine)
    const [file = ''] = await readdir(join(dir, 'pulled'))
    await writeFile(join(dir, 'pulled', file), '{')
    const next = await PullRecords.open(dir)
    expect(next.find(id)?.access).toEqual({})
    await next.grant(id, name, mine)
    expect((await PullRecords.open(dir)).find(id)).toEqual({ imageId: id, access: { [name]: mine } })
  })

  it('are complete when many are written at once', async () => {
    const records = await PullRecords.open(dir)
    const names = Array.from({ length: 20 }, (_, index) => `r.example/app-${index}`)
    await Promise.all(names.map(async (each) => await records.grant(id, each, { kind: 'everyone' })))
    expect(Object.keys((await PullRecords.open(dir)).find(id)?.access ?? {}).sort()).toEqual(names.sort())
  })
})
