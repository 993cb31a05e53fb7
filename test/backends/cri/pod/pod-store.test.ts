import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { podPaths } from '../../../../src/backends/cri/paths.ts'
import { PodStore, type PodRecord } from '../../../../src/backends/cri/pod/pod-store.ts'
import { podRef } from '../../../../src/model/pod-key.ts'
import { aPod } from '../../../support/builders.ts'
import { fillDiskAt } from '../full-disk.ts'
import { attempt, ended } from '../seen.ts'

let stateDir: string
let store: PodStore

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'spillway-store-'))
  store = new PodStore(stateDir)
})

afterEach(async () => await rm(stateDir, { recursive: true }))

function record(name: string, more: Partial<PodRecord> = {}): PodRecord {
  const containers = [{ name: 'main', kind: 'main', image: 'busybox:1.37' }] as const
  return { ...podRef(aPod({ name })), nodeName: 'burst-0', containers, ...more }
}

function dirOf(pod: PodRecord): string {
  return podPaths(stateDir, pod).podDir
}

const byName = (one: PodRecord, other: PodRecord): number => (one.name < other.name ? -1 : 1)

describe('the records of Pods', () => {
  it('are none before the first', async () => {
    expect(await store.records()).toEqual([])
  })

  it('are all those that were written, each as it was last', async () => {
    const allocation = { generation: 1, resources: { containers: {} } }
    await store.writeRecord(dirOf(record('a')), record('a'))
    await store.writeRecord(dirOf(record('b')), record('b'))
    const changed = record('a', { nodeName: 'burst-1', allocation })
    await store.writeRecord(dirOf(changed), changed)
    expect((await new PodStore(stateDir).records()).toSorted(byName)).toEqual([changed, record('b')])
  })

  it('are not made by a write that a crash broke off, nor lost by one', async () => {
    await store.writeRecord(dirOf(record('a')), record('a'))
    await writeFile(join(dirOf(record('a')), 'pod.json.new'), '{"uid":"uid-of')
    await mkdir(dirOf(record('b')), { recursive: true })
    await writeFile(join(dirOf(record('b')), 'pod.json.new'), '{"uid":"uid-of')
    expect(await store.records()).toEqual([record('a')])
  })

  it('are as they were when the disk has no room for what is new', async () => {
    await store.writeRecord(dirOf(record('a')), record('a'))
    const changed = record('a', { nodeName: 'burst-1' })
    for (const next of [changed, record('b')]) {
      const makeRoom = await fillDiskAt(join(dirOf(next), 'pod.json.new'))
      await expect(store.writeRecord(dirOf(next), next)).rejects.toThrow('ENOSPC')
      await makeRoom()
    }
    expect(await store.records()).toEqual([record('a')])
  })

  it('are for nobody but us', async () => {
    await store.writeRecord(dirOf(record('a')), record('a'))
    const modes = await Promise.all(
      [dirOf(record('a')), join(dirOf(record('a')), 'pod.json')].map((path) => stat(path)),
    )
    expect(modes.map(({ mode }) => mode & 0o007)).toEqual([0, 0])
  })

  it('go with everything else of their Pod, and going twice is no error', async () => {
    await store.writeRecord(dirOf(record('a')), record('a'))
    await store.writeUserNamespace(dirOf(record('a')), { firstId: 65_536, length: 65_536 })
    await store.remove(dirOf(record('a')))
    await store.remove(dirOf(record('a')))
    expect(await store.records()).toEqual([])
    expect(await readdir(join(stateDir, 'pods'))).toEqual([])
  })
})

describe('the end of a Pod', () => {
  it('is noted also where nothing else of it is left, and may come nearer', async () => {
    const dir = dirOf(record('a'))
    expect(await store.readEnding(dir)).toBeUndefined()
    await store.writeEnding(dir, { deadlineMs: 9000 })
    await store.writeEnding(dir, { deadlineMs: 4000 })
    expect(await new PodStore(stateDir).readEnding(dir)).toEqual({ deadlineMs: 4000 })
  })

  it('is the earlier one when there is no room to note a nearer', async () => {
    const dir = dirOf(record('a'))
    await store.writeEnding(dir, { deadlineMs: 9000 })
    await fillDiskAt(join(dir, 'ending.json.new'))
    await expect(store.writeEnding(dir, { deadlineMs: 4000 })).rejects.toThrow('ENOSPC')
    expect(await store.readEnding(dir)).toEqual({ deadlineMs: 9000 })
  })
})

describe('the containers that a stopped Pod has shed', () => {
  it('are known with all their facts', async () => {
    const dir = dirOf(record('a'))
    await store.writeRecord(dir, record('a'))
    expect(await store.readShed(dir)).toEqual([])
    const shed = [attempt(1, { ...ended, exitCode: 3 }, { message: 'last words' }), attempt(0, ended)]
    await store.writeShed(dir, shed)
    expect(await new PodStore(stateDir).readShed(dir)).toEqual(shed)
  })
})

describe('the user namespaces of Pods', () => {
  it('are known by UID, of those that have one', async () => {
    expect(await store.userNamespaces()).toEqual(new Map())
    await store.writeRecord(dirOf(record('a')), record('a'))
    const range = { firstId: 0x7000_0000, length: 65_536 }
    await store.writeUserNamespace(dirOf(record('b')), range)
    expect(await store.userNamespaces()).toEqual(new Map([[record('b').uid, range]]))
  })
})
