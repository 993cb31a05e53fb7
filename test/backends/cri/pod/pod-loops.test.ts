import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BackendEvent } from '../../../../src/backends/backend.ts'
import { containerLabels, sandboxLabels, type Owner } from '../../../../src/backends/cri/marks.ts'
import type { PodLoop } from '../../../../src/backends/cri/pod/pod-loop.ts'
import { PodLoops } from '../../../../src/backends/cri/pod/pod-loops.ts'
import type { SandboxStatus } from '../../../../src/backends/cri/runtime/cri-types.ts'
import { WatchHub } from '../../../../src/backends/cri/watch-hub.ts'
import { aPod, uidOf } from '../../../support/builders.ts'
import { settled } from '../../../support/fake-clock.ts'
import { FakeSources } from '../fake-sources.ts'
import { fillDiskAt } from '../full-disk.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { ended, sandbox } from '../seen.ts'

const { signal } = new AbortController()
const uid = uidOf(aPod())
const plan = { name: 'main', kind: 'main', image: 'docker.io/library/busybox:1.37' } as const
let pod: OnePod
let loops: PodLoops
let events: BackendEvent[]

beforeEach(async () => {
  pod = await OnePod.open()
  loops = newProcess()
})

afterEach(async () => {
  await close(loops)
  await pod.close()
})

/** The loops of a process that has just begun. */
function newProcess(): PodLoops {
  const hub = new WatchHub()
  events = []
  hub.publish = (event) => void events.push(event)
  return new PodLoops(pod.handle.tools, hub)
}

async function close(of: PodLoops): Promise<void> {
  await Promise.all(of.all().map((loop) => loop.close()))
}

async function until(condition: () => boolean | undefined): Promise<void> {
  while (!condition()) await settled()
}

/** What an earlier process has made, by its marks. */
function made(owner: Owner = pod.handle.tools.settings) {
  const { ref } = pod.handle
  return {
    sandbox: (status: Partial<SandboxStatus> = {}) =>
      sandbox(0, { labels: sandboxLabels(owner, ref, 'burst-0'), ...status }),
    container: (status: Parameters<typeof containerNamed>[2] = {}) =>
      containerNamed('main', 0, { labels: containerLabels(owner, ref, plan), ...status }),
  }
}

async function record(): Promise<void> {
  const { ref, paths, tools } = pod.handle
  await tools.store.writeRecord(paths.podDir, { ...ref, nodeName: 'burst-0', containers: [plan] })
}

function cgroup(): string {
  return join(pod.stateDir, 'cgroup', pod.handle.tools.cgroups.pathOf(uid))
}

describe('a process that has just begun', () => {
  it('knows of a Pod that runs, and lets it run', async () => {
    await record()
    pod.runtime.put(made().sandbox(), made().container())
    await loops.relist(signal)
    expect(loops.observe()).toMatchObject([
      {
        uid,
        nodeName: 'burst-0',
        supervised: false,
        phase: 'running',
        sandbox: { id: 'sandbox-0', ready: true },
        containers: [{ name: 'main', state: { kind: 'running' } }],
      },
    ])
    await settled()
    expect(pod.runtime.calls).toEqual([])
  })

  it('knows of a Pod of which nothing but the record was made', async () => {
    await record()
    await loops.relist(signal)
    expect(loops.observe()).toMatchObject([{ uid, phase: 'starting', containers: [{ name: 'main' }] }])
  })

  it('goes on ending a Pod, but looks at it first: its processes are told, and not killed with their cgroup', async () => {
    await record()
    const { tools, paths } = pod.handle
    await tools.store.writeEnding(paths.podDir, { deadlineMs: pod.clock.wallMs() + 20_000 })
    await mkdir(join(cgroup(), 'main-0'), { recursive: true })
    pod.runtime.put(made().sandbox(), made().container())
    const atEnd: boolean[] = []
    pod.runtime.before = () => void atEnd.push(existsSync(cgroup()))
    // The runtime takes its time to answer: whoever does not wait for it comes first.
    pod.runtime.beforeLook = async () => {
      for (let turn = 0; turn < 20; turn++) await settled()
    }
    await loops.relist(signal)
    await until(() => loops.get(uid)?.stopped)
    expect(pod.runtime.calls).toEqual(['stop main 20', 'stop sandbox-0'])
    expect(atEnd).toEqual([true, true])
    expect(existsSync(cgroup())).toBe(false)
    expect(loops.get(uid)?.observe()).toMatchObject({
      phase: 'stopped',
      containers: [{ state: { kind: 'terminated', exitCode: 143 } }],
    })
  })

  it('takes a Pod down once more that has ended, and tells how its containers ended, also those it has shed', async () => {
    await record()
    const { tools, paths } = pod.handle
    await tools.store.writeEnding(paths.podDir, { deadlineMs: 0 })
    await tools.store.writeShed(paths.podDir, [made().container({ ...ended, exitCode: 3 })])
    pod.runtime.put(made().sandbox({ state: 'SANDBOX_NOTREADY' }))
    await loops.relist(signal)
    await until(() => loops.get(uid)?.stopped)
    const stopped = { uid, phase: 'stopped', containers: [{ state: { kind: 'terminated', exitCode: 3 } }] }
    await until(() => events.some((event) => event.kind === 'observed' && event.pod.phase === 'stopped'))
    expect(loops.observe()).toMatchObject([stopped])
    await loops.relist(signal)
    expect(loops.observe()).toMatchObject([stopped])
  })

  it('takes down a Pod of which nothing was made before its end: nobody asks for that again', async () => {
    await record()
    await pod.handle.tools.store.writeEnding(pod.handle.paths.podDir, { deadlineMs: 0 })
    await loops.relist(signal)
    await until(() => loops.get(uid)?.stopped)
    expect(pod.runtime.calls).toEqual([])
  })

  it('knows of a sandbox whose record was lost with the state folder, by its labels, and can end it', async () => {
    await pod.handle.tools.store.remove(pod.handle.paths.podDir)
    pod.runtime.put(made().sandbox(), made().container())
    await loops.relist(signal)
    expect(loops.observe()).toMatchObject([
      {
        uid,
        nodeName: 'burst-0',
        namespace: 'default',
        name: 'web',
        containers: [{ name: 'main', kind: 'main' }],
      },
    ])
    await loops.get(uid)?.stop(4)
    await until(() => loops.get(uid)?.stopped)
    expect(pod.runtime.calls).toEqual(['stop main 4', 'stop sandbox-0'])
    await loops.get(uid)?.erase(signal)
    expect(pod.runtime.sandboxes.size).toBe(0)
    expect(await readdir(join(pod.stateDir, 'pods'))).toEqual([])
  })

  it('knows of a sandbox whose record, ending and notes were emptied when the machine lost power', async () => {
    await record()
    const { podDir } = pod.handle.paths
    await mkdir(join(podDir, 'containers', 'main'), { recursive: true })
    const emptied = ['pod', 'ending', 'shed', 'restarted-all', 'user-namespace', 'containers/main/0']
    for (const name of emptied) await writeFile(join(podDir, `${name}.json`), '')
    pod.runtime.put(made().sandbox({ state: 'SANDBOX_NOTREADY' }), made().container(ended))
    await loops.relist(signal)
    expect(loops.observe()).toMatchObject([
      { uid, sandbox: { ready: false }, containers: [{ name: 'main' }] },
    ])
    expect(await pod.handle.tools.store.userNamespaces()).toEqual(new Map())
  })

  it('goes on ending a Pod whose record was lost', async () => {
    await pod.handle.tools.store.remove(pod.handle.paths.podDir)
    pod.runtime.put(made().sandbox(), made().container())
    pod.runtime.before = () => Promise.reject(new Error('killed here'))
    await loops.relist(signal)
    await loops.get(uid)?.stop(9)
    await until(() => pod.runtime.calls.length > 0)
    await close(loops)
    pod.runtime.before = () => undefined
    loops = newProcess()
    await loops.relist(signal)
    await until(() => loops.get(uid)?.stopped)
    expect(pod.runtime.running).toEqual([])
  })

  it.each([
    ['another Spillway of the cluster', { clusterUid: 'test-cluster', instance: 'other' }],
    ['one of another cluster', { clusterUid: 'other', instance: 'test' }],
  ])('leaves alone what %s has made', async (_, owner) => {
    pod.runtime.put(made(owner).sandbox(), made(owner).container())
    await loops.relist(signal)
    expect(loops.observe()).toEqual([])
  })
})

describe('a look at everything', () => {
  it('is shared by those who ask meanwhile, and taken anew by those who come later', async () => {
    let looks = 0
    pod.runtime.beforeLook = () => void looks++
    await Promise.all([loops.relist(signal), loops.relist(signal), loops.relist(signal)])
    expect(looks).toBe(2)
    await loops.relist(signal)
    expect(looks).toBe(4)
  })

  it('fails for all who ask when the runtime does not answer, forgets nobody, and can be taken anew', async () => {
    await record()
    pod.runtime.put(made().sandbox(), made().container())
    await loops.relist(signal)
    pod.runtime.beforeLook = () => Promise.reject(new Error('no answer'))
    const outcomes = await Promise.allSettled([loops.relist(signal), loops.relist(signal)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(loops.observe()).toMatchObject([{ uid, phase: 'running' }])
    pod.runtime.beforeLook = () => undefined
    pod.runtime.end('main-0', { exitCode: 7 })
    await loops.relist(signal)
    expect(loops.observe()).toMatchObject([{ containers: [{ state: { kind: 'terminated', exitCode: 7 } }] }])
  })

  it('is the net under lost events: a Pod whose container has ended goes on from there', async () => {
    await record()
    pod.runtime.put(made().sandbox(), made().container())
    await loops.relist(signal)
    const never = aPod({ spec: { restartPolicy: 'Never' } })
    await loops.get(uid)?.supervise({ pod: never }, new FakeSources())
    pod.runtime.end('main-0', { exitCode: 0 })
    await loops.relist(signal)
    await until(() => loops.get(uid)?.stopped)
    expect(pod.runtime.calls).toEqual(['stop sandbox-0'])
  })

  it('brings nobody back who was forgotten while it was being taken', async () => {
    await record()
    await pod.handle.tools.store.writeEnding(pod.handle.paths.podDir, { deadlineMs: 0 })
    pod.runtime.put(made().sandbox({ state: 'SANDBOX_NOTREADY' }), made().container(ended))
    await loops.relist(signal)
    await until(() => loops.get(uid)?.stopped)
    // Both lists are made, and on their way.
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>()
    let lists = 0
    pod.runtime.afterList = () => {
      lists++
      return arrived
    }
    const look = loops.relist(signal)
    await until(() => lists === 2)
    await loops.get(uid)?.erase(signal)
    loops.drop(uid)
    arrive()
    await look
    expect(loops.all()).toEqual([])
    expect(events.at(-1)).toEqual({ kind: 'gone', uid })
    // What containerd brings back from its disk after a restart is known all the same.
    pod.runtime.put(made().sandbox({ state: 'SANDBOX_NOTREADY' }))
    await loops.relist(signal)
    expect(loops.observe()).toMatchObject([{ uid }])
  })

  it('tells what has changed, and nothing when nothing has', async () => {
    await record()
    pod.runtime.put(made().sandbox(), made().container())
    await loops.relist(signal)
    expect(events).toMatchObject([{ kind: 'observed', pod: { uid, phase: 'running' } }])
    await loops.relist(signal)
    expect(events).toHaveLength(1)
    pod.runtime.end('main-0')
    await loops.relist(signal)
    expect(events).toHaveLength(2)
  })
})

describe('the loop of a Pod that is to run', () => {
  const sources = new FakeSources()

  it('has its record on disk when it is there, so that the next process knows of it', async () => {
    await loops.of(aPod(), sources)
    const next = newProcess()
    await next.relist(signal)
    expect(next.observe()).toMatchObject([{ uid, nodeName: 'burst-0', phase: 'starting' }])
  })

  it('is one, whoever asks, also while everything is being looked at', async () => {
    await record()
    pod.runtime.put(made().sandbox(), made().container())
    let early: PodLoop | undefined
    pod.runtime.beforeLook = async () => {
      early ??= await loops.of(aPod(), sources)
    }
    await loops.relist(signal)
    expect(loops.all()).toEqual([early])
    expect(await loops.of(aPod(), sources)).toBe(early)
    expect(early?.observe().phase).toBe('running')
  })

  it('is none, and nothing of it is left, when a full disk takes no record of it; with its record it comes with the room', async () => {
    await fillDiskAt(join(pod.handle.paths.podDir, 'pod.json.new'))
    const failing = loops.of(aPod(), sources)
    const loop = loops.get(uid)
    await expect(failing).rejects.toThrow('ENOSPC')
    // As somebody does who is looking at everything meanwhile.
    loop?.publish()
    expect(loops.all()).toEqual([])
    expect(events.at(-1)).toEqual({ kind: 'gone', uid })
    expect(await readdir(join(pod.stateDir, 'pods'))).toEqual([])
    await loops.of(aPod(), sources)
    expect(await pod.handle.tools.store.records()).toMatchObject([{ uid, nodeName: 'burst-0' }])
  })

  it('is gone when it is dropped, until something of the Pod is found again', async () => {
    await loops.of(aPod(), sources)
    loops.drop(uid)
    expect(loops.get(uid)).toBeUndefined()
    expect(events.at(-1)).toEqual({ kind: 'gone', uid })
    await loops.relist(signal)
    expect(loops.observe()).toMatchObject([{ uid }])
  })
})

describe('the news that something has ended', () => {
  beforeEach(async () => {
    await record()
    pod.runtime.put(made().sandbox(), made().container())
    await loops.relist(signal)
  })

  it('is followed by a look at that, whose answer is told', async () => {
    pod.runtime.end('main-0', { exitCode: 9 })
    await loops.ended('main-0', signal)
    expect(events.at(-1)).toMatchObject({
      kind: 'observed',
      pod: { uid, containers: [{ state: { kind: 'terminated', exitCode: 9 } }] },
    })
    pod.runtime.put(made().sandbox({ state: 'SANDBOX_NOTREADY' }))
    await loops.ended('sandbox-0', signal)
    expect(events.at(-1)).toMatchObject({ pod: { sandbox: { ready: false } } })
  })

  it('counts for nothing itself: what the runtime replays of what has long begun anew is no end', async () => {
    await loops.ended('main-0', signal)
    await loops.ended('of-somebody-else', signal)
    expect(events).toHaveLength(1)
    expect(loops.observe()).toMatchObject([{ phase: 'running' }])
  })
})
