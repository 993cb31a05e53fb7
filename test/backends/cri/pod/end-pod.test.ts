import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { containerLabels, type ContainerPlan } from '../../../../src/backends/cri/marks.ts'
import { endPod, erase, noteEnding, takeDown } from '../../../../src/backends/cri/pod/end-pod.ts'
import type { SeenContainer } from '../../../../src/backends/cri/pod/observe.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import { aPod } from '../../../support/builders.ts'
import { settled } from '../../../support/fake-clock.ts'
import { FakeSources } from '../fake-sources.ts'
import { fillDiskAt } from '../full-disk.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { ended, sandbox } from '../seen.ts'

const { signal } = new AbortController()
const image = 'docker.io/library/busybox:1.37'
const plans = [
  { name: 'proxy', kind: 'sidecar', image },
  { name: 'shipper', kind: 'sidecar', image },
  { name: 'main', kind: 'main', image },
  { name: 'other', kind: 'main', image },
] as const satisfies readonly ContainerPlan[]
let pod: OnePod

beforeEach(async () => {
  pod = await OnePod.open()
})

afterEach(async () => await pod.close())

function running(...names: readonly string[]): SeenContainer[] {
  return plans
    .filter(({ name }) => names.includes(name))
    .map((plan) => {
      const labels = containerLabels(pod.handle.tools.settings, pod.handle.ref, plan)
      return containerNamed(plan.name, 0, { labels })
    })
}

function input(graceSeconds = 30) {
  return { ...pod.handle, plans, deadlineMs: pod.clock.wallMs() + graceSeconds * 1000 }
}

/** Holds up the ends of these until it is called. */
function slow(...names: readonly string[]): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  pod.runtime.before = (call) =>
    names.some((name) => call.startsWith(`stop ${name} `)) ? promise : undefined
  return resolve
}

/** Has runsc refuse to stop it, until its task is removed. */
function neverBegun(id: string, stop: string): void {
  const details = `kill timeout: cannot signal container "${id}" in state created`
  const refusal = new SpillwayError('Unavailable', 'stop', { cause: { code: 2, details } })
  let isThere = true
  pod.runtime.before = (call) => {
    if (call.startsWith('remove task')) isThere = false
    return isThere && call.startsWith(stop) ? Promise.reject(refusal) : undefined
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settled()
}

function cgroup(): string {
  return join(pod.stateDir, 'cgroup', pod.handle.tools.cgroups.pathOf(pod.handle.ref.uid))
}

describe('the end of a Pod', () => {
  it('is told to all main containers at once, and the sandbox goes after the last of them', async () => {
    await pod.put(sandbox(), ...running('main', 'other'))
    const goOn = slow('main')
    const over = endPod(input(), signal)
    await until(() => pod.runtime.running.length === 1)
    await settled()
    expect(pod.runtime.calls).toEqual(['stop main 30', 'stop other 30'])
    goOn()
    await over
    expect(pod.runtime.calls.at(-1)).toBe('stop sandbox-0')
    expect(pod.handle.picture.running).toEqual([])
    expect(pod.handle.picture.current?.state).toBe('SANDBOX_NOTREADY')
    expect(pod.told.map(({ message }) => message)).toEqual([
      'Stopping container main',
      'Stopping container other',
    ])
  })

  it('is that of a sandbox, too, which runsc has made and nobody started, so that nothing can signal it', async () => {
    await pod.put(sandbox())
    const process = spawn('sleep', ['600'])
    const killed = once(process, 'exit')
    await mkdir(cgroup(), { recursive: true })
    await writeFile(join(cgroup(), 'cgroup.procs'), `${process.pid}\n0\n`)
    neverBegun('sandbox-0', 'stop sandbox-0')
    await endPod(input(), signal)
    expect(pod.runtime.calls).toEqual(['stop sandbox-0', 'remove task of sandbox-0', 'stop sandbox-0'])
    expect(await killed).toEqual([null, 'SIGKILL'])
    expect(pod.handle.picture.current?.state).toBe('SANDBOX_NOTREADY')
  })

  it('is that of a container which runsc has made and nobody started, once all others have ended', async () => {
    await pod.put(sandbox(), ...running('main', 'other'))
    neverBegun('main-0', 'stop main ')
    await endPod(input(), signal)
    expect(pod.runtime.calls).toEqual([
      'stop main 30',
      'stop other 30',
      'remove task of main-0',
      'stop main 30',
      'stop sandbox-0',
    ])
  })

  it('is not waited for where no process of the sandbox is left and its shim tells of no end', async () => {
    await pod.put(sandbox())
    const procs = join(cgroup(), 'sandbox-0', 'cgroup.procs')
    await mkdir(dirname(procs), { recursive: true })
    await writeFile(procs, '4711\n')
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = (call) => {
      if (call.startsWith('remove task')) resolve()
      return call === 'stop sandbox-0' ? promise : undefined
    }
    const over = endPod(input(3600), signal)
    await until(() => pod.runtime.calls.length === 1)
    await pod.clock.advance(5_000)
    await settled()
    expect(pod.runtime.calls).toEqual(['stop sandbox-0'])
    await writeFile(procs, '')
    while (pod.runtime.calls.length < 2) await pod.clock.advance(5_000)
    await over
    expect(pod.runtime.calls).toEqual(['stop sandbox-0', 'remove task of sandbox-0'])
    await pod.clock.advance(60_000)
    expect(pod.runtime.calls).toHaveLength(2)
  })

  it('kills nothing by itself where the runtime fails for another reason', async () => {
    await pod.put(sandbox())
    pod.runtime.before = () => Promise.reject(new SpillwayError('Unavailable', 'Connection dropped'))
    await expect(endPod(input(), signal)).rejects.toThrow('Connection dropped')
    expect(pod.runtime.calls).toEqual(['stop sandbox-0'])
  })

  it('comes to sidecars after those that they serve, the last of them first', async () => {
    // In another order than that of the spec: containerd lists them as it likes.
    await pod.put(sandbox(), ...running('proxy', 'shipper', 'main', 'other').toReversed())
    await endPod(input(), signal)
    expect(pod.runtime.calls).toEqual([
      'stop main 30',
      'stop other 30',
      'stop shipper 30',
      'stop proxy 30',
      'stop sandbox-0',
    ])
  })

  it('comes to sidecars when the grace is over, though one that they serve hangs', async () => {
    await pod.put(sandbox(), ...running('proxy', 'main'))
    const goOn = slow('main')
    const over = endPod(input(20), signal)
    await until(() => pod.runtime.calls.length > 0)
    await pod.clock.advance(19_999)
    expect(pod.runtime.calls).toEqual(['stop main 20'])
    await pod.clock.advance(1)
    await until(() => pod.runtime.running.length === 1)
    expect(pod.runtime.calls).toEqual(['stop main 20', 'stop proxy 2'])
    goOn()
    await over
  })

  it('comes to sidecars of one that cannot be ended, too; then it is an error, and the sandbox stays', async () => {
    await pod.put(sandbox(), ...running('proxy', 'main'))
    pod.runtime.before = (call) => {
      if (call.startsWith('stop main')) throw new Error('no answer')
    }
    await expect(endPod(input(), signal)).rejects.toThrow('no answer')
    expect(pod.runtime.calls).toEqual(['stop main 30', 'stop proxy 30'])
    expect(pod.runtime.running.map(({ status }) => status.id)).toEqual(['main-0'])
  })

  it('frees the addresses of every sandbox, also of one whose making was broken off', async () => {
    await pod.put(sandbox(0, { state: 'SANDBOX_NOTREADY' }), sandbox(1))
    await endPod(input(), signal)
    expect(pod.runtime.calls.toSorted()).toEqual(['stop sandbox-0', 'stop sandbox-1'])
  })

  it('goes on in the next process where a crash broke it off, with what is left of the grace', async () => {
    await pod.put(sandbox(), ...running('main', 'other'))
    const { deadlineMs } = input()
    pod.runtime.before = (call) => {
      if (call.startsWith('stop main')) throw new Error('killed here')
    }
    await expect(endPod(input(), signal)).rejects.toThrow('killed here')
    pod.runtime.before = () => undefined
    await pod.clock.advance(12_000)
    pod = await pod.afterCrash()
    pod.runtime.calls.length = 0
    await endPod({ ...input(), deadlineMs }, signal)
    expect(pod.runtime.calls).toEqual(['stop main 18', 'stop sandbox-0'])
  })
})

describe('a Pod that is taken down', () => {
  let volume: string

  beforeEach(async () => {
    volume = join(pod.handle.paths.podDir, 'volumes', 'cache')
    await mkdir(volume, { recursive: true })
    await mkdir(cgroup(), { recursive: true })
    await pod.put(sandbox(), ...running('main'))
  })

  it('gives back its volumes and its cgroup when nothing of it runs any more; exit codes and logs stay', async () => {
    const log = join(pod.handle.paths.logDir, 'main', '0.log')
    await mkdir(join(log, '..'), { recursive: true })
    await writeFile(log, 'text')
    const there: boolean[] = []
    pod.runtime.before = () => void there.push(existsSync(volume), existsSync(cgroup()))
    await takeDown(input(), signal)
    expect(there).toEqual([true, true, true, true])
    expect(existsSync(volume)).toBe(false)
    expect(existsSync(cgroup())).toBe(false)
    expect(existsSync(log)).toBe(true)
    expect(pod.handle.picture.containers).toMatchObject([{ status: { exitCode: 143 } }])
  })

  it('keeps what its processes have open while one of them runs, and says so', async () => {
    // A runtime that answers before its own picture says that it has ended.
    pod.runtime.stopContainer = () => Promise.resolve()
    await expect(takeDown(input(), signal)).rejects.toMatchObject({
      reason: 'FailedKillPod',
      message: 'a container still runs',
    })
    expect(existsSync(volume)).toBe(true)
    expect(existsSync(cgroup())).toBe(true)
  })

  it('is down all the same after a crash at any point of it', async () => {
    for (const point of ['stop main', 'stop sandbox']) {
      pod.runtime.after = (call) => {
        if (call.startsWith(point)) throw new Error('killed here')
      }
      await expect(takeDown(input(), signal)).rejects.toThrow('killed here')
      pod = await pod.afterCrash()
      expect(existsSync(volume)).toBe(true)
    }
    pod.runtime.after = () => undefined
    await takeDown(input(), signal)
    await takeDown(input(), signal)
    expect(existsSync(volume)).toBe(false)
    expect(pod.runtime.running).toEqual([])
  })

  it('owes no back-off to a registry any more', async () => {
    const { images } = pod.handle.tools
    pod.runtime.before = (call) => {
      if (call.startsWith('pull')) throw new Error('no such image')
    }
    const container = { image: 'nowhere/x:1' }
    const request = { pod: aPod(), container, sources: new FakeSources(), tell: () => {} }
    const pull = () => images.ensure(request, signal)
    await expect(pull()).rejects.toMatchObject({ reason: 'ErrImagePull' })
    await expect(pull()).rejects.toMatchObject({ reason: 'ImagePullBackOff' })
    await takeDown(input(), signal)
    await expect(pull()).rejects.toMatchObject({ reason: 'ErrImagePull' })
  })
})

describe('the note that a Pod is being ended', () => {
  it('is there for the next process', async () => {
    await noteEnding(pod.handle, { deadlineMs: 1234 })
    const next = await pod.afterCrash()
    expect(await next.handle.tools.store.readEnding(next.handle.paths.podDir)).toEqual({ deadlineMs: 1234 })
    pod = next
  })

  it('is done without on a full disk: who fills it must not be saved by that', async () => {
    await fillDiskAt(join(pod.handle.paths.podDir, 'ending.json.new'))
    await noteEnding(pod.handle, { deadlineMs: 1234 })
    expect(await pod.handle.tools.store.readEnding(pod.handle.paths.podDir)).toBeUndefined()
  })

  it('is not done without for any other reason', async () => {
    await mkdir(join(pod.handle.paths.podDir, 'ending.json.new'))
    await expect(noteEnding(pod.handle, { deadlineMs: 1234 })).rejects.toThrow('EISDIR')
  })
})

describe('what is left of a Pod that was taken down', () => {
  beforeEach(async () => {
    const main = containerNamed('main', 0, ended)
    await pod.put(sandbox(0, { state: 'SANDBOX_NOTREADY' }), sandbox(1, { state: 'SANDBOX_NOTREADY' }), main)
    await mkdir(pod.handle.paths.logDir, { recursive: true })
    await mkdir(cgroup(), { recursive: true })
    await pod.handle.tools.store.writeRecord(pod.handle.paths.podDir, {
      ...pod.handle.ref,
      nodeName: 'burst-0',
      containers: plans,
    })
  })

  it('is removed, its record last', async () => {
    const there: boolean[] = []
    pod.runtime.before = () => void there.push(existsSync(pod.handle.paths.podDir))
    await erase(pod.handle, signal)
    expect(pod.runtime.calls).toEqual(['remove sandbox-0', 'remove sandbox-1'])
    expect(there).toEqual([true, true])
    expect(pod.runtime.containers.size).toBe(0)
    for (const path of [pod.handle.paths.podDir, pod.handle.paths.logDir, cgroup()]) {
      expect(existsSync(path)).toBe(false)
    }
  })

  it('is known to the next process, and removed by it, when the runtime goes away in the middle', async () => {
    pod.runtime.before = (call) => {
      if (call === 'remove sandbox-1') throw new Error('the connection is lost')
    }
    await expect(erase(pod.handle, signal)).rejects.toThrow('the connection is lost')
    expect(await pod.handle.tools.store.records()).toHaveLength(1)
    pod.runtime.before = () => undefined
    pod = await pod.afterCrash()
    await erase(pod.handle, signal)
    expect(pod.runtime.sandboxes.size).toBe(0)
    expect(await pod.handle.tools.store.records()).toEqual([])
  })

  it('is removed a second time without complaint', async () => {
    await erase(pod.handle, signal)
    await erase(pod.handle, signal)
    expect(pod.runtime.sandboxes.size).toBe(0)
  })
})
