import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { shed } from '../../../../src/backends/cri/pod/shed-containers.ts'
import { fillDiskAt } from '../full-disk.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { ended, sandbox } from '../seen.ts'

const { signal } = new AbortController()
const down = [
  sandbox(0, { state: 'SANDBOX_NOTREADY' }),
  containerNamed('main', 0, { ...ended, exitCode: 3 }),
  containerNamed('proxy', 0, ended),
]
let pod: OnePod
let volume: string
let reserve: string

beforeEach(async () => {
  pod = await OnePod.open()
  volume = join(pod.handle.paths.podDir, 'volumes', 'cache')
  reserve = join(pod.stateDir, 'reserve')
  await mkdir(volume, { recursive: true })
  await writeFile(join(volume, 'filler'), 'x'.repeat(10_000))
  await mkdir(reserve)
  await writeFile(join(reserve, '0'), 'room')
})

afterEach(async () => await pod.close())

describe('a Pod that is down', () => {
  it('gives back its volumes, then what its containers wrote, and keeps their facts', async () => {
    await pod.put(...down)
    const before = pod.handle.picture.containers
    pod.runtime.before = () => expect(existsSync(volume)).toBe(false)
    await shed(pod.handle, signal)
    expect(pod.runtime.calls).toEqual(['remove main', 'remove proxy'])
    expect(pod.runtime.containers.size).toBe(0)
    await pod.look()
    expect(pod.handle.picture.containers).toEqual(before)
    const next = await pod.afterCrash()
    expect(next.handle.picture.containers).toEqual(before)
    next.handle.tools.shell.close()
  })

  it('has the facts on disk before anything is removed: whatever the moment of a crash, they are known', async () => {
    await pod.put(...down)
    const before = pod.handle.picture.containers
    pod.runtime.before = (call) => {
      if (call === 'remove proxy') throw new Error('killed here')
    }
    await expect(shed(pod.handle, signal)).rejects.toThrow('killed here')
    expect([...pod.runtime.containers.keys()]).toEqual(['proxy-0'])
    const next = await pod.afterCrash()
    expect(next.handle.picture.containers).toEqual(before)
    pod.runtime.before = () => undefined
    await shed(next.handle, signal)
    expect(pod.runtime.containers.size).toBe(0)
    next.handle.tools.shell.close()
  })

  it('gives back nothing twice, however often it is asked, and writes no note for nothing', async () => {
    await pod.put(...down)
    await shed(pod.handle, signal)
    const before = pod.handle.picture.containers
    // Where another note would fail.
    await fillDiskAt(join(pod.handle.paths.podDir, 'shed.json.new'))
    await shed(pod.handle, signal)
    await pod.look()
    await shed(pod.handle, signal)
    expect(pod.runtime.calls).toEqual(['remove main', 'remove proxy'])
    expect(pod.handle.picture.containers).toEqual(before)
  })

  it('goes on after a crash by the note that is there, also where there is no room for another', async () => {
    await pod.put(...down)
    pod.runtime.before = (call) => {
      if (call === 'remove proxy') throw new Error('killed here')
    }
    await expect(shed(pod.handle, signal)).rejects.toThrow('killed here')
    pod.runtime.before = () => undefined
    await fillDiskAt(join(pod.handle.paths.podDir, 'shed.json.new'))
    const next = await pod.afterCrash()
    await shed(next.handle, signal)
    expect(pod.runtime.containers.size).toBe(0)
    next.handle.tools.shell.close()
  })

  it('keeps its containers when there is no room at all to note them, but not its volumes', async () => {
    await pod.put(...down)
    await fillDiskAt(join(pod.handle.paths.podDir, 'shed.json.new'))
    await rm(reserve, { recursive: true })
    await expect(shed(pod.handle, signal)).rejects.toThrow('ENOSPC')
    expect(pod.runtime.calls).toEqual([])
    expect(existsSync(volume)).toBe(false)
  })

  it('is lent room for the note where not a byte is left', async () => {
    await pod.put(...down)
    await writeFile(join(reserve, '1'), 'more room')
    await fillDiskAt(join(pod.handle.paths.podDir, 'shed.json.new'))
    await shed(pod.handle, signal)
    expect(pod.runtime.containers.size).toBe(0)
    expect(await pod.handle.tools.store.readShed(pod.handle.paths.podDir)).toHaveLength(2)
    expect(await readdir(reserve)).toHaveLength(1)
  })

  it('leaves the reserve alone: it is for those whose end hangs', async () => {
    await pod.put(...down)
    await shed(pod.handle, signal)
    expect(existsSync(reserve)).toBe(true)
  })

  it('needs no room when it never had a container', async () => {
    await pod.put(sandbox(0, { state: 'SANDBOX_NOTREADY' }))
    await fillDiskAt(join(pod.handle.paths.podDir, 'shed.json.new'))
    await shed(pod.handle, signal)
    expect(existsSync(volume)).toBe(false)
  })
})

describe('a Pod that is being taken down', () => {
  beforeEach(async () => await pod.put(sandbox(), containerNamed('main'), containerNamed('proxy', 0, ended)))

  it('keeps everything while one of its processes is left', async () => {
    await pod.cgroup('main-0', [process.pid])
    await shed(pod.handle, signal)
    expect(existsSync(volume)).toBe(true)
    expect(existsSync(reserve)).toBe(true)
    expect(pod.runtime.calls).toEqual([])
  })

  it('gives back its volumes and the reserve when none is, though the runtime cannot note the end', async () => {
    await pod.cgroup('main-0', [])
    await shed(pod.handle, signal)
    expect(existsSync(volume)).toBe(false)
    expect(existsSync(reserve)).toBe(false)
    expect(pod.runtime.calls).toEqual([])
    expect(pod.handle.picture.running.map(({ status }) => status.id)).toEqual(['main-0'])
  })

  it('has a process left as long as any of its containers has', async () => {
    await pod.put(containerNamed('other'))
    await pod.cgroup('main-0', [])
    await pod.cgroup('other-0', [process.pid])
    await shed(pod.handle, signal)
    expect(existsSync(volume)).toBe(true)
  })
})
