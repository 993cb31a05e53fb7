import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { killContainers } from '../../../../src/backends/cri/pod/kill.ts'
import type { ContainerKill } from '../../../../src/lifecycle/pod-actions.ts'
import { settled } from '../../../support/fake-clock.ts'
import { fillDiskAt } from '../full-disk.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { sandbox } from '../seen.ts'

const { signal } = new AbortController()
let pod: OnePod

beforeEach(async () => {
  pod = await OnePod.open()
  await pod.put(sandbox(), containerNamed('main', 3), containerNamed('proxy'))
})

afterEach(async () => await pod.close())

function kill(name: string, more: Partial<ContainerKill> = {}): ContainerKill {
  const message = `Container ${name} failed liveness probe, will be restarted`
  return { name, reason: 'LivenessFailed', message, graceSeconds: 30, restartAtOnce: true, ...more }
}

describe('a container that is ended to be started again', () => {
  it('has that noted before its end, so that the next process finishes what a crash broke off', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = () => promise
    const over = killContainers(pod.handle, [kill('main')], signal)
    while (pod.runtime.calls.length === 0) await settled()
    const next = await pod.afterCrash()
    expect(next.handle.picture.running.map(({ status }) => status.id)).toContain('main-3')
    expect(next.handle.notes.of('main', 3)).toEqual({ restartOwed: kill('main').message })
    next.handle.tools.shell.close()
    resolve()
    expect(await over).toBe(true)
  })

  it('is not ended when that cannot be noted', async () => {
    await fillDiskAt(join(pod.handle.paths.podDir, 'containers', 'main', '3.json.new'))
    await expect(killContainers(pod.handle, [kill('main')], signal)).rejects.toThrow('ENOSPC')
    expect(pod.runtime.calls).toEqual([])
  })

  it('owes nothing when it is ended for good, or has to wait', async () => {
    await killContainers(pod.handle, [kill('main', { restartAtOnce: false })], signal)
    expect(pod.handle.notes.of('main', 3)).toEqual({})
  })
})

describe('containers that are ended', () => {
  it('are ended at once, each with its own grace, in kubelet’s words', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = () => promise
    const kills = [kill('main'), kill('proxy', { graceSeconds: 7 })]
    const over = killContainers(pod.handle, kills, signal)
    while (pod.runtime.calls.length < 2) await settled()
    expect(pod.runtime.calls.toSorted()).toEqual(['stop main 30', 'stop proxy 7'])
    resolve()
    await over
    expect(pod.handle.picture.running).toEqual([])
    expect(pod.told.map(({ message }) => message).toSorted()).toEqual(kills.map(({ message }) => message))
  })

  it('are ended beside one that cannot be, whose error is told when all are done', async () => {
    pod.runtime.before = (call) => {
      if (call.startsWith('stop main')) throw new Error('no answer')
    }
    const both = [kill('main'), kill('proxy')]
    await expect(killContainers(pod.handle, both, signal)).rejects.toThrow('no answer')
    expect(pod.handle.picture.running.map(({ status }) => status.metadata.name)).toEqual(['main'])
  })

  it('are none when they have ended by themselves', async () => {
    pod.runtime.end('main-3')
    await pod.look()
    expect(await killContainers(pod.handle, [kill('main'), kill('nobody')], signal)).toBe(false)
    expect(await killContainers(pod.handle, [], signal)).toBe(false)
    expect(pod.runtime.calls).toEqual([])
    expect(pod.handle.notes.of('main', 3)).toEqual({})
  })
})
