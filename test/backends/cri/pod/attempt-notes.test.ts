import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AttemptNotes } from '../../../../src/backends/cri/pod/attempt-notes.ts'
import { fillDiskAt } from '../full-disk.ts'

let podDir: string
let notes: AttemptNotes

beforeEach(async () => {
  podDir = await mkdtemp(join(tmpdir(), 'spillway-notes-'))
  notes = new AttemptNotes(podDir)
})

afterEach(async () => await rm(podDir, { recursive: true }))

/** What the next life of this process knows. */
async function afterCrash(): Promise<AttemptNotes> {
  const next = new AttemptNotes(podDir)
  await next.load()
  return next
}

describe('what is noted of an attempt', () => {
  it('is known after a crash, each attempt’s and each container’s for itself', async () => {
    await notes.note('main', 0, { postStart: 'done' })
    await notes.note('main', 11, { restartOwed: 'definition changed' })
    await notes.note('main-2', 0, { postStart: { failure: 'exit code 1' } })
    const next = await afterCrash()
    expect(next.of('main', 0)).toEqual({ postStart: 'done' })
    expect(next.of('main', 11)).toEqual({ restartOwed: 'definition changed' })
    expect(next.of('main', 1)).toEqual({})
    expect(next.of('main-2', 0)).toEqual({ postStart: { failure: 'exit code 1' } })
  })

  it('is added to what was noted before', async () => {
    await notes.note('main', 0, { postStart: 'done', preStopBeganAtMs: 5 })
    const next = await afterCrash()
    await next.note('main', 0, { preStopDone: true })
    const all = { postStart: 'done', preStopBeganAtMs: 5, preStopDone: true }
    expect(next.of('main', 0)).toEqual(all)
    expect((await afterCrash()).of('main', 0)).toEqual(all)
  })

  it('is not known before it is durable: not at all when the disk is full', async () => {
    await notes.note('main', 0, { preStopBeganAtMs: 5 })
    const makeRoom = await fillDiskAt(join(podDir, 'containers', 'main', '1.json.new'))
    await expect(notes.note('main', 1, { restartOwed: 'resize' })).rejects.toThrow('ENOSPC')
    expect(notes.of('main', 1)).toEqual({})
    await makeRoom()
    await notes.note('main', 1, { restartOwed: 'resize' })
    expect((await afterCrash()).of('main', 1)).toEqual({ restartOwed: 'resize' })
  })

  it('is forgotten with the attempt, for good', async () => {
    await notes.note('main', 0, { postStart: 'done' })
    await notes.note('main', 1, { postStart: 'done' })
    await notes.drop('main', 0)
    await notes.drop('main', 7)
    for (const known of [notes, await afterCrash()]) {
      expect(known.of('main', 0)).toEqual({})
      expect(known.of('main', 1)).toEqual({ postStart: 'done' })
    }
  })
})

describe('a Pod’s directory', () => {
  it('without notes, or that is not there, has none', async () => {
    expect((await afterCrash()).of('main', 0)).toEqual({})
    const nowhere = new AttemptNotes(join(podDir, 'nowhere'))
    await nowhere.load()
    expect(nowhere.restartedAll).toEqual({})
  })

  it('may hold notes that were broken off, and files of others', async () => {
    await notes.note('main', 0, { postStart: 'done' })
    await writeFile(join(podDir, 'containers', 'main', '1.json.new'), '{"postSt')
    await writeFile(join(podDir, 'containers', 'main', '0.message'), 'last words')
    await mkdir(join(podDir, 'containers', 'other'))
    const next = await afterCrash()
    expect(next.of('main', 0)).toEqual({ postStart: 'done' })
    expect(next.of('main', 1)).toEqual({})
  })

  it('is left without drafts', async () => {
    await notes.note('main', 0, { postStart: 'done' })
    await notes.noteRestartedAll({ main: 0 })
    expect(await readdir(podDir, { recursive: true })).toEqual(
      expect.not.arrayContaining([expect.stringContaining('.new')]),
    )
  })
})

describe('that all containers were made to begin anew', () => {
  it('is known after a crash', async () => {
    expect(notes.restartedAll).toEqual({})
    await notes.noteRestartedAll({ init: 0, main: 2 })
    expect(notes.restartedAll).toEqual({ init: 0, main: 2 })
    expect((await afterCrash()).restartedAll).toEqual({ init: 0, main: 2 })
  })

  it('is not known when it could not be written', async () => {
    await notes.noteRestartedAll({ main: 2 })
    await fillDiskAt(join(podDir, 'restarted-all.json.new'))
    await expect(notes.noteRestartedAll({ main: 3 })).rejects.toThrow('ENOSPC')
    expect(notes.restartedAll).toEqual({ main: 2 })
    expect((await afterCrash()).restartedAll).toEqual({ main: 2 })
  })
})
