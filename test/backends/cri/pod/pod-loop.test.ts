import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BackendEvent, PodHappening } from '../../../../src/backends/backend.ts'
import type { PodLoop } from '../../../../src/backends/cri/pod/pod-loop.ts'
import { PodLoops } from '../../../../src/backends/cri/pod/pod-loops.ts'
import { WatchHub } from '../../../../src/backends/cri/watch-hub.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import type { Pod } from '../../../../src/model/kubernetes.ts'
import type { PodObservation } from '../../../../src/model/pod-observation.ts'
import { aContainer, aPod } from '../../../support/builders.ts'
import { settled } from '../../../support/fake-clock.ts'
import { FakeSources } from '../fake-sources.ts'
import { fillDiskAt } from '../full-disk.ts'
import { OnePod } from '../one-pod.ts'

const { signal } = new AbortController()
const image = 'docker.io/library/busybox:1.37'
const starting = [`pull ${image}`, 'run sandbox-0', 'create main-0', 'start main-0']
const ending = ['stop main 30', 'stop sandbox-0']
const times = ['before', 'after'] as const
let pod: OnePod
let loops: PodLoops
let loop: PodLoop
let sources: FakeSources
let events: BackendEvent[]

beforeEach(async () => {
  pod = await OnePod.open()
  sources = new FakeSources()
  events = []
})

afterEach(async () => {
  await loop.close()
  await pod.close()
})

/** What a process does that has just begun. */
async function begin(): Promise<void> {
  const hub = new WatchHub()
  hub.publish = (event) => void events.push(event)
  loops = new PodLoops(pod.handle.tools, hub)
  await loops.relist(signal)
}

/** Has it run, in a process that has just begun. */
async function run(of: Pod = aPod()): Promise<void> {
  await begin()
  loop = await loops.of(of, sources)
  await loop.supervise({ pod: of }, sources)
}

async function until(condition: () => boolean | undefined): Promise<void> {
  while (!condition()) await settled()
}

/** Time passes until then. */
async function inTime(condition: () => boolean | undefined): Promise<void> {
  for (let turn = 1; !condition(); turn++) {
    await settled()
    if (turn % 10 === 0) await pod.clock.advance(50)
  }
}

async function untilRunning(): Promise<void> {
  await until(isRunning)
}

function isRunning(): boolean | undefined {
  return observed()?.containers.every(({ state }) => state.kind === 'running')
}

/** As it was told last. */
function observed(): PodObservation | undefined {
  return events.flatMap((event) => (event.kind === 'observed' ? [event.pod] : [])).at(-1)
}

function told(reason: string): PodHappening[] {
  return events
    .flatMap((event) => (event.kind === 'happened' ? [event.happening] : []))
    .filter((happening) => happening.reason === reason)
}

async function endOf(id: string, exitCode: number): Promise<void> {
  pod.runtime.end(id, { exitCode })
  await loops.ended(id, signal)
}

const endingFile = () => join(pod.handle.paths.podDir, 'ending.json')
const waitingState = () => {
  const state = observed()?.containers[0]?.state
  return state?.kind === 'waiting' ? state.reason : undefined
}

describe('a Pod', () => {
  it('runs to its end by itself: sandbox, containers, and the sandbox goes', async () => {
    // Its image is fetched meanwhile.
    pod.runtime.before = (call) => (call.startsWith('run') ? until(() => pulled()) : undefined)
    const pulled = () => pod.runtime.calls.some((call) => call.startsWith('pull'))
    await run(aPod({ spec: { restartPolicy: 'Never' } }))
    await untilRunning()
    await endOf('main-0', 0)
    await until(() => loop.stopped)
    expect(pod.runtime.calls.filter((call) => !call.startsWith('pull'))).toEqual([
      'run sandbox-0',
      'create main-0',
      'start main-0',
      'stop sandbox-0',
    ])
    expect(observed()).toMatchObject({
      phase: 'stopped',
      supervised: true,
      containers: [{ state: { kind: 'terminated', exitCode: 0 } }],
    })
    expect(events.filter(({ kind }) => kind === 'observed').length).toBeGreaterThan(3)
  })

  it('has its containers started again, at once and then after a back-off', async () => {
    await run()
    await untilRunning()
    await pod.clock.advance(1000)
    await endOf('main-0', 1)
    await until(() => pod.runtime.calls.includes('start main-1'))
    await untilRunning()
    await endOf('main-1', 1)
    await until(() => waitingState() === 'CrashLoopBackOff')
    expect(told('BackOff')).toHaveLength(1)
    await inTime(() => pod.runtime.calls.includes('start main-2'))
    expect(pod.clock.wallMs()).toBeGreaterThanOrEqual(Date.UTC(2026, 0, 1, 0, 0, 10, 123))
  })

  it('has another sandbox, and its containers in that, when it has lost the first', async () => {
    await run()
    await untilRunning()
    let madeAtMs = 0
    pod.runtime.before = (call) => void (call === 'run sandbox-1' && (madeAtMs = pod.clock.wallMs()))
    pod.runtime.end('main-0', { exitCode: 137 })
    await pod.runtime.stopSandbox('sandbox-0', signal)
    // The news of the container comes first: it is no restart in the old one.
    await loops.ended('main-0', signal)
    await inTime(() => pod.runtime.calls.includes('start main-1'))
    expect(pod.runtime.containers.get('main-1')?.sandboxId).toBe('sandbox-1')
    expect(told('SandboxChanged')).toHaveLength(1)
    expect(madeAtMs).toBeGreaterThanOrEqual(Date.UTC(2026, 0, 1, 0, 0, 0, 623))
  })

  it('tries again what cannot be done, ever more seldom, and says why it waits', async () => {
    pod.runtime.before = (call) => {
      if (call.startsWith('create')) throw new Error('no such device')
    }
    await run()
    await until(() => waitingState() === 'CreateContainerError')
    const tries = () => pod.runtime.calls.filter((call) => call.startsWith('create')).length
    for (const [afterMs, expected] of [
      [249, 1],
      [1, 2],
      [499, 2],
      [1, 3],
    ] as const) {
      await pod.clock.advance(afterMs)
      await until(() => tries() >= expected)
      for (let turn = 0; turn < 10; turn++) await settled()
      expect(tries()).toBe(expected)
    }
    pod.runtime.before = () => undefined
    await pod.clock.advance(1000)
    await untilRunning()
    expect(observed()?.trouble).toBeUndefined()
  })

  it('does not wait any longer when what was missing may be there', async () => {
    const envFrom = [{ configMapRef: { name: 'settings' } }]
    await run(aPod({ spec: { containers: [aContainer({ envFrom })] } }))
    await until(() => waitingState() === 'CreateContainerConfigError')
    sources.configMaps.set('settings', { data: { level: 'low' } })
    sources.change()
    await untilRunning()
    expect(pod.clock.wallMs()).toBe(Date.UTC(2026, 0, 1))
  })

  it('has its other containers started beside one that cannot be', async () => {
    const broken = aContainer({ name: 'broken', image: 'Not An Image' })
    await run(aPod({ spec: { containers: [broken, aContainer()] } }))
    await until(() => observed()?.containers.some(({ state }) => state.kind === 'running'))
    expect(observed()?.containers).toMatchObject([
      { name: 'broken', state: { kind: 'waiting', reason: 'InvalidImageName' } },
      { name: 'main', state: { kind: 'running' } },
    ])
  })

  it('is not acted on by a process that only knows of it', async () => {
    await run()
    await untilRunning()
    await loop.close()
    const before = [...pod.runtime.calls]
    const next = new PodLoops(pod.handle.tools, new WatchHub())
    await next.relist(signal)
    pod.runtime.end('main-0')
    await next.ended('main-0', signal)
    await settled()
    expect(pod.runtime.calls).toEqual(before)
    expect(next.observe()).toMatchObject([
      { supervised: false, containers: [{ state: { kind: 'terminated' } }] },
    ])
    await Promise.all(next.all().map((other) => other.close()))
  })
})

describe('a Pod whose shim hangs', () => {
  const silence = new SpillwayError('Unavailable', 'no answer', { cause: { code: 4 } })
  let shim: ChildProcess

  beforeEach(async () => {
    shim = spawn('sh', ['-c', 'echo up; read nothing', 'shim', '-id', 'sandbox-0'])
    await once(shim.stdout ?? shim, 'data')
  })

  afterEach(() => void shim.kill('SIGKILL'))

  it('has the shim killed after a minute in which nothing is answered, and then another sandbox', async () => {
    let isThere = true
    pod.runtime.before = (call) => {
      if (isThere && /^create|^signal/.test(call)) throw silence
    }
    await run()
    await until(() => waitingState() === 'CreateContainerError')
    const beganMs = pod.clock.wallMs()
    const exit = once(shim, 'exit').then((how) => {
      isThere = false
      const [sandbox] = pod.runtime.sandboxes.values()
      if (sandbox) pod.runtime.put({ ...sandbox, state: 'SANDBOX_NOTREADY' })
      return how
    })
    await inTime(() => !isThere)
    expect(await exit).toEqual([null, 'SIGKILL'])
    expect(pod.clock.wallMs() - beganMs).toBeGreaterThanOrEqual(60_000)
    await loops.relist(signal)
    await inTime(() => observed()?.sandbox?.id === 'sandbox-1' && isRunning())
    expect(told('FailedKillPod').map(({ message }) => message)).toEqual([
      `error killing pod: the runtime's shim (process ${shim.pid}) does not answer, and is killed`,
    ])
    // It was asked only: what it has might have been running well.
    expect(pod.runtime.calls).not.toContainEqual(expect.stringMatching(/^signal 9/))
  })

  it('is left alone when it answers at all', async () => {
    pod.runtime.before = (call) => {
      if (call.startsWith('create')) throw silence
    }
    await run()
    await until(() => waitingState() === 'CreateContainerError')
    await inTime(() => pod.runtime.calls.some((call) => call.startsWith('signal')))
    await inTime(() => pod.runtime.calls.filter((call) => call.startsWith('signal')).length > 2)
    expect(shim.exitCode ?? shim.signalCode).toBeNull()
    expect(told('FailedKillPod')).toEqual([])
  })
})

describe('a Pod that is stopped', () => {
  it('has that on disk when it is promised, and is down when it says so', async () => {
    const readinessProbe = { exec: { command: ['true'] } }
    await run(aPod({ spec: { containers: [aContainer({ readinessProbe })] } }))
    await untilRunning()
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = () => promise
    await loop.stop(30)
    expect(existsSync(endingFile())).toBe(true)
    expect(observed()?.phase).toBe('stopping')
    resolve()
    await until(() => loop.stopped)
    expect(pod.runtime.calls.slice(-2)).toEqual(['stop main 30', 'stop sandbox-0'])
    expect(observed()?.phase).toBe('stopped')
    expect(sources.listeners.size).toBe(0)
    await settled()
    expect(pod.clock.pending).toBe(0)
  })

  it('has less grace by a later word, and never more', async () => {
    await run()
    await untilRunning()
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = (call) => (call.startsWith('stop main') ? promise : undefined)
    await loop.stop(30)
    await until(() => pod.runtime.calls.includes('stop main 30'))
    await loop.stop(60)
    await loop.stop(5)
    expect(pod.runtime.calls.slice(-2)).toEqual(['stop main 30', 'stop main 5'])
    resolve()
    await until(() => loop.stopped)
    expect(await pod.handle.tools.store.readEnding(pod.handle.paths.podDir)).toEqual({
      deadlineMs: pod.clock.wallMs() + 5000,
    })
  })

  it('has the least grace that was asked for, also when all ask at once', async () => {
    await run()
    await untilRunning()
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = (call) => (call.startsWith('stop main') ? promise : undefined)
    await Promise.all([5, 30, 2, 60, 20].map((graceSeconds) => loop.stop(graceSeconds)))
    await until(() => pod.runtime.calls.some((call) => call.startsWith('stop main')))
    expect(pod.runtime.calls.at(-1)).toBe('stop main 2')
    expect(await pod.handle.tools.store.readEnding(pod.handle.paths.podDir)).toEqual({
      deadlineMs: pod.clock.wallMs() + 2000,
    })
    resolve()
    await until(() => loop.stopped)
  })

  it('is not told of as one that cannot get further, whatever it was waiting for', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    sources.configMap = () => promise
    await run(aPod({ spec: { volumes: [{ name: 'v', configMap: { name: 'slow' } }] } }))
    await until(() => loop.picture.current !== undefined)
    for (let turn = 0; turn < 10; turn++) await settled()
    await loop.stop(30)
    resolve(undefined)
    await until(() => loop.stopped)
    expect(told('FailedSync').concat(told('FailedMount'))).toEqual([])
    expect(observed()?.trouble).toBeUndefined()
    expect(pod.runtime.calls.at(-1)).toBe('stop sandbox-0')
  })

  it('has nothing more started, not even what was about to be', async () => {
    const all = ['one', 'two', 'three'].map((name) => aContainer({ name, image }))
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = (call) => (call === 'create one-0' ? promise : undefined)
    await run(aPod({ spec: { containers: all } }))
    await until(() => pod.runtime.calls.includes('create one-0'))
    await loop.stop(30)
    resolve()
    await until(() => loop.stopped)
    expect(pod.runtime.calls.filter((call) => /^(create|start|stop)/.test(call))).toEqual([
      'create one-0',
      'start one-0',
      'stop one 30',
      'stop sandbox-0',
    ])
  })

  it('ends on a disk that is full to the last byte, too', async () => {
    await run()
    await untilRunning()
    await fillDiskAt(`${endingFile()}.new`)
    await loop.stop(30)
    await until(() => loop.stopped)
    expect(pod.runtime.running).toEqual([])
  })

  it('is not down while the runtime cannot end it; when it can, nothing is said of that any more', async () => {
    await run()
    await untilRunning()
    pod.runtime.before = (call) => {
      if (call.startsWith('stop main')) throw new Error('no answer')
    }
    await loop.stop(30)
    await until(() => observed()?.trouble !== undefined)
    expect(observed()).toMatchObject({ phase: 'stopping', trouble: { message: 'no answer' } })
    pod.runtime.before = () => undefined
    await inTime(() => loop.stopped)
    expect(observed()).toMatchObject({ phase: 'stopped' })
    expect(observed()?.trouble).toBeUndefined()
  })

  it('is never started again, whoever asks', async () => {
    await run()
    await untilRunning()
    await loop.stop(0)
    await until(() => loop.stopped)
    const before = [...pod.runtime.calls]
    await loop.supervise({ pod: aPod({ metadata: { generation: 2 } }) }, sources)
    loop.retry()
    await settled()
    expect(pod.runtime.calls).toEqual(before)
  })
})

describe('disk that a Pod has taken', () => {
  it('is left to one that runs, and given back by one that is down, once', async () => {
    await run(aPod({ spec: { volumes: [{ name: 'cache', emptyDir: {} }] } }))
    await untilRunning()
    await loop.shed(signal)
    expect(existsSync(join(pod.handle.paths.podDir, 'volumes', 'cache'))).toBe(true)
    expect(pod.runtime.calls.filter((call) => call.startsWith('remove'))).toEqual([])
    await loop.stop(0)
    await until(() => loop.stopped)
    await Promise.all([loop.shed(signal), loop.shed(signal)])
    await loop.shed(signal)
    expect(pod.runtime.calls.filter((call) => call.startsWith('remove'))).toEqual(['remove main'])
    await loop.erase(signal)
    await loop.shed(signal)
    expect(existsSync(pod.handle.paths.podDir)).toBe(false)
  })
})

describe('the loop of a process that ends', () => {
  it('is over when what is under way is, says nothing more, and the Pod goes on', async () => {
    await run()
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = (call) => (call.startsWith('start') ? promise : undefined)
    await until(() => pod.runtime.calls.includes('start main-0'))
    let isOver = false
    const over = loop.close().then(() => (isOver = true))
    const { length } = events
    await settled()
    expect(isOver).toBe(false)
    resolve()
    await over
    expect(pod.runtime.running).toHaveLength(1)
    expect(pod.clock.pending).toBe(0)
    await loops.relist(signal)
    expect(loop.observe().phase).toBe('running')
    expect(events).toHaveLength(length)
  })

  it('takes nobody under its supervision any more', async () => {
    const hub = new WatchHub()
    loops = new PodLoops(pod.handle.tools, hub)
    loop = await loops.of(aPod(), sources)
    const other = aPod({ spec: { containers: [aContainer({ image: 'other' })] } })
    const late = loop.supervise({ pod: other }, sources)
    await loop.close()
    await late
    expect(sources.listeners.size).toBe(0)
  })
})

/** The process is killed over that call, before or after the runtime has carried it out; resolves when it is gone. */
async function killedAt(point: string, time: (typeof times)[number]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<Promise<void>>()
  pod.runtime[time] = (call) => {
    if (call !== point) return
    resolve(loop.close())
    throw new Error('nobody is there to hear this')
  }
  await promise
  pod.runtime[time] = () => undefined
  pod = await pod.afterCrash()
}

const everyTime = (points: readonly string[]) =>
  points.flatMap((point) => times.map((time) => [time, point] as const))

describe('a Pod whose process is killed', () => {
  it.each(everyTime(starting))('%s "%s" is started by the next one, once', async (time, point) => {
    await run()
    await killedAt(point, time)
    await run()
    await inTime(isRunning)
    expect([...pod.runtime.sandboxes.keys()]).toEqual(['sandbox-0'])
    expect([...pod.runtime.containers.keys()]).toEqual(['main-0'])
    expect(observed()).toMatchObject({ incarnation: 0, containers: [{ restartCount: 0 }] })
  })

  it.each(everyTime(ending))(
    '%s "%s" is ended by the next one, though nobody asks again',
    async (time, point) => {
      await run()
      await inTime(isRunning)
      const killed = killedAt(point, time)
      await loop.stop(30)
      await killed
      await begin()
      loop = loops.get(loop.ref.uid) ?? loop
      await inTime(() => loop.stopped)
      expect(pod.runtime.running).toEqual([])
      expect(pod.runtime.sandboxes.get('sandbox-0')?.state).toBe('SANDBOX_NOTREADY')
      expect(observed()).toMatchObject({
        phase: 'stopped',
        containers: [{ state: { kind: 'terminated', exitCode: 143 } }],
      })
    },
  )
})

describe('a Pod whose runtime goes away', () => {
  const downMs = 3000

  /** At that call, before or after it was carried out; it answers nothing until it is back. */
  function goneAt(point: string, time: (typeof times)[number]): void {
    let backAtMs: number | undefined
    const refuse = (call?: string): void => {
      if (call === point) backAtMs ??= pod.clock.wallMs() + downMs
      if (pod.clock.wallMs() >= (backAtMs ?? 0)) return
      const cause = { code: 14, details: 'Connection dropped' }
      throw new SpillwayError('Unavailable', 'container runtime: Connection dropped', { cause })
    }
    pod.runtime[time] = refuse
    if (time === 'after') pod.runtime.before = () => refuse()
    pod.runtime.beforeLook = () => refuse()
  }

  it.each(everyTime(starting))('%s "%s" runs when it is back, once', async (time, point) => {
    goneAt(point, time)
    await run()
    await inTime(isRunning)
    expect(pod.clock.wallMs()).toBeGreaterThanOrEqual(Date.UTC(2026, 0, 1) + downMs)
    expect([...pod.runtime.sandboxes.keys()]).toEqual(['sandbox-0'])
    expect([...pod.runtime.containers.keys()]).toEqual(['main-0'])
    expect(observed()).toMatchObject({ incarnation: 0, containers: [{ restartCount: 0 }] })
    await inTime(() => observed()?.trouble === undefined)
  })

  it.each(everyTime(ending))('%s "%s" ends when it is back', async (time, point) => {
    await run()
    await inTime(isRunning)
    goneAt(point, time)
    await loop.stop(30)
    await inTime(() => loop.stopped)
    expect(pod.runtime.running).toEqual([])
    expect(pod.runtime.sandboxes.get('sandbox-0')?.state).toBe('SANDBOX_NOTREADY')
    expect(observed()).toMatchObject({
      phase: 'stopped',
      containers: [{ state: { kind: 'terminated', exitCode: 143 } }],
    })
  })
})
