import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { lookUp, startSandbox } from '../../../../src/backends/cri/pod/start-sandbox.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import type { Pod } from '../../../../src/model/kubernetes.ts'
import { aPod } from '../../../support/builders.ts'
import { settled } from '../../../support/fake-clock.ts'
import { FakeSources } from '../fake-sources.ts'
import { OnePod } from '../one-pod.ts'
import { sandbox } from '../seen.ts'

const { signal } = new AbortController()
let pod: OnePod
let sources: FakeSources
/** How often it was said that the runtime is being asked. */
let asked: number

beforeEach(async () => {
  pod = await OnePod.open()
  sources = new FakeSources()
  asked = 0
})

afterEach(async () => await pod.close())

async function start(attempt = 0, of: Pod = aPod(), until = signal): Promise<void> {
  await startSandbox({ ...pod.handle, pod: of, sources, onAsked: () => asked++ }, attempt, until)
}

function cgroup(): string {
  return join(pod.stateDir, 'cgroup', pod.handle.tools.cgroups.pathOf(pod.handle.ref.uid))
}

describe('the sandbox of a Pod', () => {
  it('is made in a cgroup and with a log folder that are there, and is in the picture then', async () => {
    const there: boolean[] = []
    pod.runtime.before = () => void there.push(existsSync(cgroup()), existsSync(pod.handle.paths.logDir))
    await start(3, aPod({ spec: { hostname: 'front' } }))
    expect(there).toEqual([true, true])
    expect(pod.runtime.sandboxConfigs).toMatchObject([
      {
        metadata: { name: 'web', namespace: 'default', uid: pod.handle.ref.uid, attempt: 3 },
        hostname: 'front',
        logDirectory: pod.handle.paths.logDir,
        linux: { cgroupParent: `/spillway/pod${pod.handle.ref.uid}` },
      },
    ])
    expect(pod.handle.picture.current).toMatchObject({ id: 'sandbox-3', state: 'SANDBOX_READY' })
    expect(pod.handle.picture.podCgroup).toMatchObject({ cpuShares: 2 })
  })

  it('carries labels by which the next process finds it', async () => {
    await start()
    const next = await pod.afterCrash()
    await lookUp(next.handle, signal)
    expect(next.handle.picture.current?.id).toBe('sandbox-0')
    next.handle.tools.shell.close()
  })

  it('waits for a place among those that are being made', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const other = pod.handle.tools.sandboxGate.run(() => promise)
    const mine = start()
    // The last that is done before.
    while (!pod.handle.picture.podCgroup) await settled()
    await settled()
    expect(pod.runtime.calls).toEqual([])
    resolve()
    await Promise.all([other, mine])
    expect(pod.runtime.calls).toEqual(['run sandbox-0'])
  })

  it('has what else the Pod needs begun while the runtime makes it, and not before', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = () => promise
    const mine = start()
    expect(asked).toBe(0)
    await vi.waitFor(() => expect(asked).toBe(1))
    expect(pod.handle.picture.current).toBeUndefined()
    resolve()
    await mine
    expect(asked).toBe(1)
  })

  it('gives its place free when it cannot be made', async () => {
    pod.runtime.before = () => Promise.reject(new Error('no address left'))
    await expect(start()).rejects.toThrow('no address left')
    pod.runtime.before = () => undefined
    await start()
    expect(pod.handle.picture.current?.id).toBe('sandbox-0')
  })

  it('is told of when its nameservers are more than fit', async () => {
    const nameservers = ['1.1.1.1', '2.2.2.2', '3.3.3.3', '4.4.4.4']
    await start(0, aPod({ spec: { dnsPolicy: 'None', dnsConfig: { nameservers } } }))
    expect(pod.told).toMatchObject([{ type: 'Warning', reason: 'DNSConfigForming' }])
    expect(pod.runtime.sandboxConfigs).toMatchObject([{ dnsConfig: { servers: nameservers.slice(0, 3) } }])
  })
})

describe('a sandbox that cannot be made', () => {
  it('has kubelet’s reason, and the runtime’s own sentence', async () => {
    const cause = { code: 2, details: 'plugin type="bridge" failed' }
    const answer = new SpillwayError('Unavailable', 'container runtime, RunPodSandbox: …', { cause })
    pod.runtime.before = () => Promise.reject(answer)
    await expect(start()).rejects.toMatchObject({
      code: 'Unavailable',
      reason: 'FailedCreatePodSandBox',
      message: 'Failed to create pod sandbox: plugin type="bridge" failed',
    })
  })

  it('says so of a RuntimeClass that is not there, and asks the runtime for nothing', async () => {
    await expect(start(0, aPod({ spec: { runtimeClassName: 'gvisor' } }))).rejects.toMatchObject({
      code: 'NotFound',
      reason: 'FailedCreatePodSandBox',
      message: 'Failed to create pod sandbox: runtimeclass.node.k8s.io "gvisor" not found',
    })
    expect(pod.runtime.calls).toEqual([])
  })

  it('fails for nothing but the signal when that is aborted meanwhile', async () => {
    const end = new AbortController()
    pod.runtime.before = () => {
      end.abort(new Error('closing'))
      throw new Error('cancelled')
    }
    await expect(start(0, aPod(), end.signal)).rejects.toThrow(/^cancelled$/)
  })

  it('has users of its own only where the runtime can; else it takes no ids from others', async () => {
    const own = aPod({ spec: { hostUsers: false } })
    await expect(start(0, own)).rejects.toMatchObject({
      code: 'Rejected',
      message:
        'Failed to create pod sandbox: can\'t set `spec.hostUsers: false`, RuntimeClass handler "runsc" does not support user namespaces',
    })
    const { uid } = pod.handle.ref
    expect(pod.handle.tools.userNamespaces.of(uid)).toBeUndefined()
    const features = { recursiveReadOnlyMounts: true, userNamespaces: true }
    pod.runtime.handlers = [{ name: 'runc', features }]
    await pod.handle.tools.runtime.ask(signal)
    sources.node = { ...sources.node, sandbox: { byDefault: 'runc', byClass: {} } }
    await start(0, own)
    const range = pod.handle.tools.userNamespaces.of(uid)
    expect(range).toBeDefined()
    // Known to the next process before anything runs with it.
    expect((await pod.handle.tools.store.userNamespaces()).get(uid)).toEqual(range)
  })
})

describe('a sandbox whose maker went away in the middle', () => {
  it('is adopted when the runtime has it, and never made twice', async () => {
    pod.runtime.after = () => Promise.reject(new SpillwayError('Unavailable', 'the connection is lost'))
    await expect(start()).rejects.toThrow('the connection is lost')
    pod.runtime.after = () => undefined
    // Its name is taken: what came of it is looked up, and nothing is a failure of the Pod's.
    await expect(start()).rejects.toMatchObject({ code: 'Busy', reason: undefined, afterMs: 250 })
    expect(pod.handle.picture.current?.id).toBe('sandbox-0')
    expect(pod.runtime.sandboxes.size).toBe(1)
  })

  it('is waited for while the runtime is still making it', async () => {
    pod.runtime.before = () => Promise.reject(new SpillwayError('Busy', 'name is reserved', { afterMs: 250 }))
    await expect(start()).rejects.toMatchObject({ code: 'Busy' })
    expect(pod.handle.picture.empty).toBe(true)
  })
})

describe('a look at everything of one Pod', () => {
  it('leaves aside what is of others', async () => {
    pod.runtime.put(sandbox(7, { labels: { 'io.kubernetes.pod.uid': 'of-somebody-else' } }))
    await start()
    await lookUp(pod.handle, signal)
    expect(pod.handle.picture.sandboxes.map(({ id }) => id)).toEqual(['sandbox-0'])
  })
})
