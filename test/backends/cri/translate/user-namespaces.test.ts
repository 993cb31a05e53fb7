import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PodStore } from '../../../../src/backends/cri/pod/pod-store.ts'
import { UserNamespaces } from '../../../../src/backends/cri/translate/user-namespaces.ts'

const first = 0x7000_0000

describe('the ids of Pods', () => {
  let stateDir: string
  let ids: UserNamespaces

  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'user-namespaces-'))
    ids = new UserNamespaces(new PodStore(stateDir))
  })

  afterEach(async () => {
    await rm(stateDir, { recursive: true })
  })

  const podDir = (uid: string): string => join(stateDir, 'pods', uid)
  const take = (uid: string) => ids.take(uid, podDir(uid))

  it('are never shared, also when many ask at once', async () => {
    const uids = Array.from({ length: 20 }, (_, index) => `pod-${index}`)
    const taken = await Promise.all(uids.map(take))
    expect(new Set(taken.map(({ firstId }) => firstId)).size).toBe(20)
    expect(taken.every(({ firstId, length }) => firstId % 65_536 === 0 && length === 65_536)).toBe(true)
  })

  it('stay the same, also for the next life of the process', async () => {
    const range = await take('a')
    expect(range).toEqual({ firstId: first, length: 65_536 })
    expect(await take('a')).toEqual(range)
    const next = new UserNamespaces(new PodStore(stateDir))
    await next.load()
    expect(next.of('a')).toEqual(range)
    expect((await next.take('b', podDir('b'))).firstId).toBe(first + 65_536)
  })

  it('are free again when nothing of the Pod is left', async () => {
    await take('a')
    await rm(podDir('a'), { recursive: true })
    expect((await take('b')).firstId).toBe(first)
  })

  it('come to an end, with a sentence that says so', async () => {
    const last = new UserNamespaces(new PodStore(stateDir), 0x8000_0000 - 65_536)
    await last.take('a', podDir('a'))
    await expect(last.take('b', podDir('b'))).rejects.toThrow('could not find an empty slot')
  })
})
