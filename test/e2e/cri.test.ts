import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Backend } from '../../src/backends/backend.ts'
import { cgroupLayout } from '../../src/backends/cri/resources/cgroup-layout.ts'
import { ownerLabels } from '../../src/backends/cri/marks.ts'
import type { Container, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { containerOf, Follower, isRunning, until } from '../conformance/harness.ts'
import { aContainer, aPod, uidOf } from '../support/builders.ts'
import { criHarness, sh, shell, type CriHarness } from '../support/cri-harness.ts'
import { FakePodSources } from '../support/pod-sources.ts'
import {
  missingForContainerd,
  startPrivateContainerd,
  type PrivateContainerd,
} from '../support/private-containerd.ts'

const missing = missingForContainerd()
const childProgram = fileURLToPath(new URL('../support/cri-child.ts', import.meta.url))
const sleeping = shell('main', { does: 'sleep' }).container

describe.skipIf(missing.length > 0)(`Pods on a real containerd`, () => {
  let runtime: PrivateContainerd
  let harness: CriHarness
  let backend: Backend
  let follower: Follower
  let sources: FakePodSources
  let serial = 0
  const { signal } = new AbortController()

  beforeAll(async () => {
    runtime = await startPrivateContainerd({ bridge: 'swcri2', subnet: '10.246.2.0/24' })
  })

  afterAll(async () => {
    await runtime?.destroy()
  })

  beforeEach(async () => {
    harness = await criHarness(runtime)
    backend = harness.backend()
    follower = new Follower(harness)
    sources = new FakePodSources()
    await until(harness, 'the first snapshot', () => follower.synced)
  })

  afterEach(async () => {
    await follower.close()
    await harness.close()
  })

  function podWith(container: Partial<Container>, spec: Partial<PodSpec> = {}): Pod {
    const name = `pod-${++serial}`
    const uid = `00000000-0000-4000-a000-${String(serial).padStart(12, '0')}`
    return aPod({ name, uid, spec: { containers: [aContainer(container)], ...spec } })
  }

  async function running(pod: Pod): Promise<PodObservation> {
    await backend.start(pod, sources, signal)
    return await follower.seen(uidOf(pod), 'running', (one) => isRunning(one) && containerOf(one).ready)
  }

  async function ended(pod: Pod): Promise<PodObservation> {
    return await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
  }

  async function sandboxesOfOurs() {
    return await runtime.client.listSandboxes(ownerLabels(harness.settings.owner), signal)
  }

  async function cgroupFolders(pod: Pod): Promise<string[]> {
    const layout = cgroupLayout(await readFile('/proc/self/mountinfo', 'utf8'))
    const roots = layout.version === 2 ? [layout.root] : layout.roots
    return roots.map((root) => join(root, harness.cgroupParent, `pod${uidOf(pod)}`)).filter(existsSync)
  }

  it('gives a Pod the cgroup that its requests and limits ask for', async () => {
    const resources = {
      requests: { cpu: '100m', memory: '32Mi' },
      limits: { cpu: '250m', memory: '64Mi' },
    }
    const pod = podWith({ ...sleeping, resources })
    await running(pod)
    const layout = cgroupLayout(await readFile('/proc/self/mountinfo', 'utf8'))
    const read = async (controller: string, file: string): Promise<string> => {
      const root = layout.version === 2 ? layout.root : (layout.controllers.get(controller) ?? '')
      const path = join(root, harness.cgroupParent, `pod${uidOf(pod)}`, file)
      return (await readFile(path, 'utf8')).trim()
    }
    if (layout.version === 2) {
      expect(await read('cpu', 'cpu.max')).toBe('25000 100000')
      expect(await read('memory', 'memory.max')).toBe(String(64 * 2 ** 20))
    } else {
      expect(await read('cpu', 'cpu.shares')).toBe('102')
      expect(await read('cpu', 'cpu.cfs_quota_us')).toBe('25000')
      expect(await read('memory', 'memory.limit_in_bytes')).toBe(String(64 * 2 ** 20))
    }
  })

  it('leaves no process, mount, address or cgroup of a Job that has ended, and still has its log', async () => {
    const pod = podWith(sh('echo done').container, { restartPolicy: 'Never' })
    await backend.start(pod, sources, signal)
    const last = await ended(pod)
    expect(containerOf(last).state).toMatchObject({ kind: 'terminated', exitCode: 0, reason: 'Completed' })
    expect(last.sandbox?.ready).toBe(false)
    expect(await cgroupFolders(pod)).toEqual([])
    const mounts = await readFile('/proc/self/mounts', 'utf8')
    expect(mounts).not.toContain(uidOf(pod))
    expect(mounts).not.toContain(`${last.sandbox?.id}/shm`)
    const leases = await readdir(join(runtime.dir, 'ipam', 'swcri2'))
    expect(leases).not.toContain(last.sandbox?.podIps[0])
    const log = await backend.logs(
      uidOf(pod),
      'main',
      { follow: false, previous: false, timestamps: false },
      signal,
    )
    expect((await log.toArray()).join('')).toBe('done\n')
  })

  it('gives back what a stopped Pod wrote, and still has its log, also after a restart', async () => {
    const pod = podWith(sh('echo done; head -c 8388608 /dev/urandom > /file; exit 3').container, {
      restartPolicy: 'Never',
    })
    await backend.start(pod, sources, signal)
    const over = await ended(pod)
    const containersOf = async (): Promise<readonly unknown[]> =>
      await runtime.client.listContainers(ownerLabels(harness.settings.owner), signal)
    expect(await containersOf()).toHaveLength(1)
    await backend.reclaim(signal)
    expect(await containersOf()).toEqual([])
    backend = await harness.restartProcess()
    const [found] = await backend.list(signal)
    expect(found?.containers).toEqual(over.containers)
    const whole = { follow: false, previous: false, timestamps: false }
    const log = await backend.logs(uidOf(pod), 'main', whole, signal)
    expect((await log.toArray()).join('')).toBe('done\n')
  })

  it('tells what a container left as its last words', async () => {
    const pod = podWith(sh('echo "no disk" > /dev/termination-log; exit 7').container, {
      restartPolicy: 'Never',
    })
    await backend.start(pod, sources, signal)
    expect(containerOf(await ended(pod)).state).toMatchObject({
      exitCode: 7,
      reason: 'Error',
      message: 'no disk\n',
    })
  })

  it('takes the end of the log for last words when a failed container asks for it', async () => {
    const failing = sh('echo one; echo two; exit 1').container
    const pod = podWith(
      { ...failing, terminationMessagePolicy: 'FallbackToLogsOnError' },
      { restartPolicy: 'Never' },
    )
    await backend.start(pod, sources, signal)
    expect(containerOf(await ended(pod)).state).toMatchObject({ exitCode: 1, message: 'one\ntwo\n' })
  })

  it('says OOMKilled of what used more memory than its limit', async () => {
    const hungry = sh('x=$(head -c 100000000 /dev/zero | tr "\\0" a); echo ${#x}').container
    const pod = podWith({ ...hungry, resources: { limits: { memory: '20Mi' } } }, { restartPolicy: 'Never' })
    await backend.start(pod, sources, signal)
    expect(containerOf(await ended(pod)).state).toMatchObject({ exitCode: 137, reason: 'OOMKilled' })
  })

  it('runs as the user, groups and with the file system that it is told', async () => {
    const script = 'id -u; id -g; id -G; touch /here 2>/dev/null || echo read-only; hostname'
    const pod = podWith(
      {
        ...sh(script).container,
        securityContext: { readOnlyRootFilesystem: true, runAsUser: 1000, runAsGroup: 2000 },
      },
      {
        restartPolicy: 'Never',
        hostname: 'inside',
        securityContext: { supplementalGroups: [3000], runAsNonRoot: true },
      },
    )
    await backend.start(pod, sources, signal)
    await ended(pod)
    const log = await backend.logs(
      uidOf(pod),
      'main',
      { follow: false, previous: false, timestamps: false },
      signal,
    )
    expect((await log.toArray()).join('')).toBe('1000\n2000\n2000 3000\nread-only\ninside\n')
  })

  it('does not run as root what must not', async () => {
    const pod = podWith({ ...sleeping, securityContext: { runAsNonRoot: true } })
    await backend.start(pod, sources, signal)
    const seen = await follower.seen(uidOf(pod), 'refusal', (one) => {
      const { state } = containerOf(one)
      return state.kind === 'waiting' && state.reason === 'CreateContainerConfigError'
    })
    expect(containerOf(seen).state).toMatchObject({
      message: expect.stringContaining('image will run as root'),
    })
  })

  it('backs off from an image that cannot be pulled, and from one that may not', async () => {
    const lost = podWith({ image: 'registry.invalid/none:1', command: ['true'] })
    await backend.start(lost, sources, signal)
    const reasons = (): unknown[] =>
      follower.history(uidOf(lost)).map((one) => {
        const { state } = containerOf(one)
        return state.kind === 'waiting' && state.reason
      })
    await until(harness, 'ImagePullBackOff', () => reasons().includes('ImagePullBackOff'))
    expect(reasons()).toContain('ErrImagePull')
    expect(follower.happenings(uidOf(lost)).map(({ reason }) => reason)).toEqual(
      expect.arrayContaining(['Pulling', 'Failed', 'BackOff']),
    )

    const never = podWith({ image: 'registry.invalid/none:1', imagePullPolicy: 'Never' })
    await backend.start(never, sources, signal)
    await follower.seen(uidOf(never), 'ErrImageNeverPull', (one) => {
      const { state } = containerOf(one)
      return state.kind === 'waiting' && state.reason === 'ErrImageNeverPull'
    })
  })

  it('replaces a sandbox that was lost, as another incarnation', async () => {
    const pod = podWith(sleeping)
    const first = await running(pod)
    await runtime.client.stopSandbox(first.sandbox?.id ?? '', signal)
    const second = await follower.seen(
      uidOf(pod),
      'incarnation 1',
      (one) => one.incarnation === 1 && isRunning(one),
    )
    expect(second.sandbox?.id).not.toBe(first.sandbox?.id)
    expect(containerOf(second).restartCount).toBeGreaterThanOrEqual(1)
    expect(containerOf(second).lastTerminated).toMatchObject({ kind: 'terminated' })
  })

  it('goes on when containerd is killed and comes back', async () => {
    const pod = podWith(sleeping)
    const before = await running(pod)
    await runtime.kill()
    expect((await backend.health(signal)).runtime.ok).toBe(false)
    await runtime.start()
    const [after] = await backend.list(signal)
    expect(after).toMatchObject({ phase: 'running', incarnation: 0, sandbox: { id: before.sandbox?.id } })
    expect((await backend.health(signal)).runtime.ok).toBe(true)
    await backend.stop(uidOf(pod), { graceSeconds: 2 }, signal)
    expect((await ended(pod)).containers[0]?.state).toMatchObject({ kind: 'terminated', exitCode: 0 })
  })

  it.each([0, 20, 60, 100, 130, 160, 250])(
    'makes one sandbox for each Pod when its process is killed %i ms after the start',
    async (afterMs) => {
      const pods = [podWith(sleeping), podWith(sleeping)]
      const child = spawn(
        process.execPath,
        [childProgram, JSON.stringify(harness.settings), ...pods.map((pod) => JSON.stringify(pod))],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      const exited = once(child, 'exit')
      await once(child.stdout, 'data')
      await harness.clock.sleep(afterMs, signal)
      child.kill('SIGKILL')
      await exited

      await Promise.all(pods.map((pod) => running(pod)))
      const ready = (await sandboxesOfOurs()).filter(({ state }) => state === 'SANDBOX_READY')
      expect(ready).toHaveLength(pods.length)
      const uids = new Set(
        (await sandboxesOfOurs()).map(({ metadata }) => `${metadata.uid}/${metadata.attempt}`),
      )
      expect(uids.size).toBe((await sandboxesOfOurs()).length)
      await Promise.all(pods.map((pod) => backend.stop(uidOf(pod), { graceSeconds: 1 }, signal)))
      await Promise.all(pods.map((pod) => ended(pod)))
      await Promise.all(pods.map((pod) => backend.forget(uidOf(pod), signal)))
      expect(await sandboxesOfOurs()).toEqual([])
      expect((await Promise.all(pods.map(cgroupFolders))).flat()).toEqual([])
      expect(await readdir(join(harness.stateDir, 'pods'))).toEqual([])
    },
  )
})
