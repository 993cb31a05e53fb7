import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { containerMarks } from '../../../../src/backends/cri/marks.ts'
import { restartAll } from '../../../../src/backends/cri/pod/restart-all.ts'
import { containerOf } from '../fake-sources.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { ended, sandbox } from '../seen.ts'

const { signal } = new AbortController()
const exited = { status: { state: 'CONTAINER_EXITED' } }
const all = { running: ['main', 'proxy'], names: ['init', 'proxy', 'main', 'never-run'] }
let pod: OnePod

beforeEach(async () => {
  pod = await OnePod.open()
  await pod.put(
    sandbox(),
    containerNamed('init', 0, ended),
    containerNamed('proxy', 2, { labels: { 'spillway.dev/container-kind': 'sidecar' } }),
    containerNamed('main', 9, ended),
    containerNamed('main', 10),
    containerNamed('debugger', 0, { labels: { 'spillway.dev/container-kind': 'ephemeral' } }),
  )
})

afterEach(async () => await pod.close())

describe('making all containers begin anew', () => {
  it('ends those that run one after the other, in that order, and no others', async () => {
    pod.runtime.before = (call) => {
      if (call.startsWith('stop proxy')) expect(pod.runtime.containers.get('main-10')).toMatchObject(exited)
    }
    await restartAll(pod.handle, all, signal)
    expect(pod.runtime.calls).toEqual(['stop main 2', 'stop proxy 2'])
    expect(pod.told.map(({ reason, message }) => `${reason}: ${message}`)).toEqual(
      Array(2).fill('Killing: killing'),
    )
  })

  it('outdates every attempt so far, of the containers that begin anew only, and for the next process too', async () => {
    await restartAll(pod.handle, all, signal)
    const outdated = { init: 0, proxy: 2, main: 10 }
    expect(pod.handle.notes.restartedAll).toEqual(outdated)
    expect((await pod.afterCrash()).handle.notes.restartedAll).toEqual(outdated)
  })

  it('asks no preStop hook', async () => {
    const container = containerOf({ name: 'main', lifecycle: { preStop: { exec: { command: ['drain'] } } } })
    const marks = { generation: 1, container, backoffMs: 0, podIp: '', given: {} }
    await pod.put(containerNamed('main', 10, { annotations: containerMarks(marks) }))
    await restartAll(pod.handle, all, signal)
    expect(pod.runtime.calls).toEqual(['stop main 2', 'stop proxy 2'])
  })

  it('outdates nothing before all have ended: broken off, it is asked for again', async () => {
    pod.runtime.before = (call) => {
      if (call.startsWith('stop proxy')) throw new Error('killed here')
    }
    await expect(restartAll(pod.handle, all, signal)).rejects.toThrow('killed here')
    const next = await pod.afterCrash()
    expect(next.handle.notes.restartedAll).toEqual({})
    pod.runtime.before = () => undefined
    await restartAll(next.handle, { ...all, running: ['proxy'] }, signal)
    expect(next.handle.notes.restartedAll).toEqual({ init: 0, proxy: 2, main: 10 })
    next.handle.tools.shell.close()
  })

  it('outdates no fewer the second time, also when the runtime has lost the attempts since', async () => {
    await restartAll(pod.handle, all, signal)
    pod.runtime.containers.delete('main-10')
    await pod.put(containerNamed('proxy', 3))
    await restartAll(pod.handle, { ...all, running: ['proxy'] }, signal)
    expect(pod.handle.notes.restartedAll).toEqual({ init: 0, proxy: 3, main: 10 })
  })
})
