import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Backend, LogOptions } from '../../src/backends/backend.ts'
import { hasCode, type ErrorCode } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PodUsage } from '../../src/model/pod-usage.ts'
import { aContainer, aPod, uidOf, type PodOverrides } from '../support/builders.ts'
import { FakePodSources } from '../support/pod-sources.ts'
import {
  containerOf,
  exitCodeOf,
  Follower,
  isRunning,
  until,
  withWorkloads,
  type BackendHarness,
  type Workload,
} from './harness.ts'
import { resizeContract } from './resize.ts'

const wholeLog: LogOptions = { follow: false, previous: false, timestamps: false }
const nobody = asPodUid('00000000-0000-4000-8000-000000000000')
const sleeping: Workload = { does: 'sleep' }

/**
 * What every backend keeps (src/backends/backend.ts). Waits are for conditions, with the harness's patience, so that
 * the same suite runs on a fake clock and on a real runtime.
 */
export function backendContract(name: string, makeHarness: () => Promise<BackendHarness>): void {
  resizeContract(name, makeHarness)
  describe(`${name} as a backend`, () => {
    let harness: BackendHarness
    let backend: Backend
    let follower: Follower
    let sources: FakePodSources
    let serial = 0
    const { signal } = new AbortController()

    beforeEach(async () => {
      harness = await makeHarness()
      backend = harness.backend()
      sources = new FakePodSources()
      follower = new Follower(harness)
      await until(harness, 'the first snapshot', () => follower.synced)
    })

    afterEach(async () => {
      await follower.close()
      await harness.close()
    })

    /** A Pod of its own UID whose containers do that; `main` alone unless told otherwise. */
    function podThat(workloads: Readonly<Record<string, Workload>>, overrides: PodOverrides = {}): Pod {
      const number = String(++serial).padStart(12, '0')
      const base = { name: `pod-${serial}`, uid: `00000000-0000-4000-9000-${number}` }
      return withWorkloads(harness, aPod({ ...base, ...overrides }), workloads)
    }

    async function started(pod: Pod): Promise<Pod> {
      await backend.start(pod, sources, signal)
      return pod
    }

    async function stopAndWait(pod: Pod, graceSeconds = 5) {
      await backend.stop(uidOf(pod), { graceSeconds }, signal)
      return await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
    }

    async function usageOf(pod: Pod): Promise<PodUsage> {
      return await until(harness, `usage of ${pod.metadata?.name}`, async () => {
        const { pods } = await backend.usage({ storage: false }, signal)
        return pods.find(({ uid, containers }) => uid === uidOf(pod) && containers.length > 0)
      })
    }

    async function logOf(pod: Pod, options: Partial<LogOptions> = {}, container = 'main'): Promise<string> {
      return await text(await backend.logs(uidOf(pod), container, { ...wholeLog, ...options }, signal))
    }

    describe('starting', () => {
      it('brings a Pod up and tells of it', async () => {
        const pod = await started(podThat({ main: sleeping }))
        const seen = await follower.seen(
          uidOf(pod),
          'ready',
          (one) => isRunning(one) && containerOf(one).ready,
        )
        expect(seen).toMatchObject({
          uid: uidOf(pod),
          namespace: 'default',
          name: pod.metadata?.name,
          nodeName: 'burst-0',
          incarnation: 0,
          supervised: true,
          generation: 1,
          phase: 'running',
        })
        expect(seen.sandbox?.ready).toBe(true)
        expect(seen.sandbox?.podIps[0]).toMatch(/^[0-9a-f.:]+$/)
        const { state, restartCount, started: hasStarted, containerId } = containerOf(seen)
        expect({ restartCount, hasStarted }).toEqual({ restartCount: 0, hasStarted: true })
        expect(containerId).toMatch(/^[a-z]+:\/\/.+/)
        const createdAtMs = seen.sandbox?.createdAtMs ?? Infinity
        expect(state.kind === 'running' && state.startedAtMs).toBeGreaterThanOrEqual(createdAtMs)
      })

      it('makes one sandbox however often it is asked', async () => {
        const pod = podThat({ main: sleeping })
        await Promise.allSettled([started(pod), started(pod)])
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        await started(pod)
        const ids = new Set(follower.history(uidOf(pod)).map(({ sandbox }) => sandbox?.id))
        ids.delete(undefined)
        expect(ids.size).toBe(1)
        expect(containerOf((await backend.list(signal))[0] ?? failed()).restartCount).toBe(0)
      })

      it('keeps Pods of the same name apart by their UID', async () => {
        const first = await started(podThat({ main: sleeping }, { name: 'same', uid: 'aaaaaaaa-same' }))
        const second = await started(podThat({ main: sleeping }, { name: 'same', uid: 'bbbbbbbb-same' }))
        const one = await follower.seen(uidOf(first), 'running', (pod) => isRunning(pod))
        const other = await follower.seen(uidOf(second), 'running', (pod) => isRunning(pod))
        expect(one.sandbox?.id).not.toBe(other.sandbox?.id)
        expect(one.sandbox?.podIps).not.toEqual(other.sandbox?.podIps)
        await stopAndWait(first)
        expect(isRunning(follower.last(uidOf(second)) ?? failed())).toBe(true)
      })

      it('waits for a ConfigMap that its environment needs, and goes on when it appears', async () => {
        const variable = 'GREETING'
        const env = [{ name: variable, valueFrom: { configMapKeyRef: { name: 'late', key: 'greeting' } } }]
        const pod = await started(
          podThat(
            { main: { does: 'printVariable', variable } },
            { spec: { containers: [aContainer({ env })] } },
          ),
        )
        await follower.seen(uidOf(pod), 'CreateContainerConfigError', (one) => {
          const { state } = containerOf(one)
          return state.kind === 'waiting' && state.reason === 'CreateContainerConfigError'
        })
        sources.setConfigMap('late', { greeting: 'good evening' })
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        await until(harness, 'the line', async () => (await logOf(pod)) === 'good evening\n')
      })

      it('is not ready before its readiness probe says so', async () => {
        const pod = await started(podThat({ main: { does: 'becomeReady', afterMs: 1500 } }))
        await follower.seen(uidOf(pod), 'ready', (one) => isRunning(one) && containerOf(one).ready)
        const running = follower.history(uidOf(pod)).filter((one) => isRunning(one))
        expect(running.some((one) => !containerOf(one).ready)).toBe(true)
      })
    })

    describe('the order of containers', () => {
      it('runs init containers one after the other, then the rest', async ({ skip }) => {
        skip(!backend.capabilities().features.has('initContainers'))
        const pod = await started(
          podThat(
            { first: { does: 'exit', code: 0 }, second: { does: 'exit', code: 0 }, main: sleeping },
            { spec: { initContainers: [aContainer({ name: 'first' }), aContainer({ name: 'second' })] } },
          ),
        )
        const seen = await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        const first = containerOf(seen, 'first').state
        const second = containerOf(seen, 'second').state
        const main = containerOf(seen).state
        if (first.kind !== 'terminated' || second.kind !== 'terminated' || main.kind !== 'running') failed()
        expect(second.startedAtMs).toBeGreaterThanOrEqual(first.finishedAtMs)
        expect(main.startedAtMs).toBeGreaterThanOrEqual(second.finishedAtMs)
      })

      it('never runs the rest when an init container of a Pod that may not restart fails', async ({
        skip,
      }) => {
        skip(!backend.capabilities().features.has('initContainers'))
        const pod = await started(
          podThat(
            { first: { does: 'exit', code: 4 }, main: sleeping },
            { spec: { restartPolicy: 'Never', initContainers: [aContainer({ name: 'first' })] } },
          ),
        )
        const seen = await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
        expect(exitCodeOf(seen, 'first')).toBe(4)
        expect(containerOf(seen).state.kind).toBe('waiting')
      })

      it('keeps a sidecar beside the main container and ends it after', async ({ skip }) => {
        skip(!backend.capabilities().features.has('sidecarContainers'))
        const sidecar = aContainer({ name: 'proxy', restartPolicy: 'Always' })
        const pod = await started(
          podThat(
            { proxy: sleeping, main: { does: 'exit', code: 0, afterMs: 1000 } },
            { spec: { restartPolicy: 'Never', initContainers: [sidecar] } },
          ),
        )
        await follower.seen(uidOf(pod), 'both running', (one) => isRunning(one) && isRunning(one, 'proxy'))
        const seen = await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
        const proxy = containerOf(seen, 'proxy').state
        const main = containerOf(seen).state
        if (proxy.kind !== 'terminated' || main.kind !== 'terminated') failed()
        expect(main.exitCode).toBe(0)
        expect(proxy.finishedAtMs).toBeGreaterThanOrEqual(main.finishedAtMs)
      })
    })

    describe('restarting', () => {
      it('restarts what ends when the policy is Always', async () => {
        const pod = await started(podThat({ main: { does: 'exit', code: 3, afterMs: 200 } }))
        const seen = await follower.seen(
          uidOf(pod),
          'a second attempt',
          (one) => containerOf(one).restartCount >= 1,
        )
        expect(containerOf(seen).lastTerminated?.exitCode).toBe(3)
        expect(seen.phase).toBe('running')
        expect(seen.incarnation).toBe(0)
      })

      it('restarts what fails, and lets be what succeeds, when the policy is OnFailure', async () => {
        const pod = await started(
          podThat({ main: { does: 'failOnce' } }, { spec: { restartPolicy: 'OnFailure' } }),
        )
        const seen = await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
        expect(exitCodeOf(seen)).toBe(0)
        expect(containerOf(seen).restartCount).toBe(1)
      })

      it('runs once when the policy is Never', async () => {
        const pod = await started(
          podThat({ main: { does: 'exit', code: 3 } }, { spec: { restartPolicy: 'Never' } }),
        )
        const seen = await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
        expect(exitCodeOf(seen)).toBe(3)
        expect(containerOf(seen).restartCount).toBe(0)
      })
    })

    describe('stopping', () => {
      it('lets a container end by itself, and keeps how it ended until it is forgotten', async () => {
        const pod = await started(podThat({ main: sleeping }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        const seen = await stopAndWait(pod)
        const { state } = containerOf(seen)
        if (state.kind !== 'terminated') failed()
        expect(state.exitCode).toBe(0)
        expect(state.finishedAtMs).toBeGreaterThanOrEqual(state.startedAtMs)
        const listed = (await backend.list(signal)).find(({ uid }) => uid === uidOf(pod))
        expect(listed && exitCodeOf(listed)).toBe(0)
        await backend.forget(uidOf(pod), signal)
        expect((await backend.list(signal)).map(({ uid }) => uid)).not.toContain(uidOf(pod))
        await until(harness, 'gone', () => follower.isGone(uidOf(pod)))
      })

      it('kills what does not end, sooner when asked again with less grace', async () => {
        const pod = await started(podThat({ main: { does: 'ignoreTerm' } }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        await backend.stop(uidOf(pod), { graceSeconds: 3_600 }, signal)
        await follower.seen(uidOf(pod), 'stopping', ({ phase }) => phase === 'stopping')
        expect(exitCodeOf(await stopAndWait(pod, 1))).toBe(137)
      })

      it('does not start again what began to stop', async () => {
        const pod = await started(podThat({ main: { does: 'ignoreTerm' } }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        await backend.stop(uidOf(pod), { graceSeconds: 3 }, signal)
        await started(pod)
        const seen = await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
        await started(pod)
        expect(containerOf(seen).restartCount).toBe(0)
        const [listed] = await backend.list(signal)
        expect(listed?.phase).toBe('stopped')
      })

      it('will not forget what has not stopped', async () => {
        const pod = await started(podThat({ main: sleeping }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        await expect(backend.forget(uidOf(pod), signal)).rejects.toSatisfy(hasCodeOf('Busy'))
      })

      it('gives back disk without a loss: what runs runs on, and how another ended is still known', async () => {
        const running = await started(podThat({ main: sleeping }))
        const ended = await started(
          podThat({ main: { does: 'exit', code: 4 } }, { spec: { restartPolicy: 'Never' } }),
        )
        const before = await follower.seen(uidOf(running), 'running', (one) => isRunning(one))
        const over = await follower.seen(uidOf(ended), 'stopped', ({ phase }) => phase === 'stopped')
        await backend.reclaim(signal)
        await backend.reclaim(signal)
        const listed = new Map((await backend.list(signal)).map((one) => [one.uid, one]))
        expect(listed.get(uidOf(ended))).toEqual(over)
        expect(containerOf(listed.get(uidOf(running)) ?? failed()).containerId).toBe(
          containerOf(before).containerId,
        )
        expect(isRunning(listed.get(uidOf(running)) ?? failed())).toBe(true)
        await follower.close()
        backend = await harness.restartProcess()
        follower = new Follower(harness)
        await until(harness, 'the snapshot', () => follower.synced)
        const found = await follower.seen(uidOf(ended), 'stopped', ({ phase }) => phase === 'stopped')
        expect(containerOf(found).state).toEqual(containerOf(over).state)
        await backend.forget(uidOf(ended), signal)
        expect((await backend.list(signal)).map(({ uid }) => uid)).toEqual([uidOf(running)])
      })

      it('forgets what it does not know', async () => {
        await expect(backend.forget(nobody, signal)).resolves.toBeUndefined()
      })
    })

    describe('what it tells', () => {
      it('begins a watch with all that is there, stopped Pods included', async () => {
        const running = await started(podThat({ main: sleeping }))
        const ended = await started(
          podThat({ main: { does: 'exit', code: 0 } }, { spec: { restartPolicy: 'Never' } }),
        )
        await follower.seen(uidOf(running), 'running', (one) => isRunning(one))
        await follower.seen(uidOf(ended), 'stopped', ({ phase }) => phase === 'stopped')
        const later = new Follower(harness)
        await until(harness, 'the snapshot', () => later.synced)
        const snapshot = later.events.slice(
          0,
          later.events.findIndex(({ kind }) => kind === 'synced'),
        )
        const uids = snapshot.flatMap((event) => (event.kind === 'observed' ? [event.pod.uid] : []))
        expect(new Set(uids)).toEqual(new Set([uidOf(running), uidOf(ended)]))
        const listed = await backend.list(signal)
        expect(new Set(listed.map(({ uid }) => uid))).toEqual(new Set(uids))
        await later.close()
      })

      it('ends a watch with the reason of its signal', async () => {
        const aborted = new AbortController()
        const reason = new Error('enough')
        const watching = (async () => {
          for await (const event of backend.watch(aborted.signal))
            if (event.kind === 'synced') aborted.abort(reason)
        })()
        await expect(watching).rejects.toBe(reason)
      })

      it('says NotFound of what is not there', async () => {
        const calls = [
          backend.stop(nobody, { graceSeconds: 1 }, signal),
          backend.update(podThat({}, { uid: nobody }), signal),
          backend.logs(nobody, 'main', wholeLog, signal),
        ]
        for (const call of calls) await expect(call).rejects.toSatisfy(hasCodeOf('NotFound'))
      })

      it('rejects with the reason of a signal that was aborted', async () => {
        const reason = new Error('no longer wanted')
        const aborted = AbortSignal.abort(reason)
        const calls = [
          backend.start(podThat({ main: sleeping }), sources, aborted),
          backend.stop(nobody, { graceSeconds: 1 }, aborted),
          backend.list(aborted),
          backend.capacity(aborted),
          backend.usage({ storage: false }, aborted),
        ]
        for (const call of calls) await expect(call).rejects.toBe(reason)
      })

      it('answers streams with a place to connect to, or that it does not offer them', async () => {
        const pod = await started(podThat({ main: sleeping }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        const { features } = backend.capabilities()
        const exec = { command: ['true'], stdin: false, stdout: true, stderr: true, tty: false }
        const call = backend.exec(uidOf(pod), 'main', exec, signal)
        if (features.has('exec')) expect((await call).url).toMatch(/^https?:/)
        else await expect(call).rejects.toSatisfy(hasCodeOf('Unsupported'))
      })

      it('tells what each running Pod uses, and of which node it is', async () => {
        const pod = await started(podThat({ main: { does: 'spin' } }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        const first = await usageOf(pod)
        const { container, startedAtMs } = { container: first.containers[0], ...first }
        expect(first.containers.map(({ name }) => name)).toEqual(['main'])
        expect(first).toMatchObject({ namespace: 'default', name: pod.metadata?.name, nodeName: 'burst-0' })
        expect(container?.startedAtMs).toBeGreaterThanOrEqual(startedAtMs)
        expect(container?.memory?.workingSetBytes).toBeGreaterThan(0n)
        expect(first.memory?.workingSetBytes).toBeGreaterThan(0n)
        const before = { pod: first.cpu?.totalNanos ?? 0n, container: container?.cpu?.totalNanos ?? 0n }
        await until(harness, 'more CPU time, of container and Pod', async () => {
          const { cpu, containers } = await usageOf(pod)
          const later = containers[0]?.cpu
          return (cpu?.totalNanos ?? 0n) > before.pod && (later?.totalNanos ?? 0n) > before.container
        })
      })

      it('tells nothing of a Pod that has ended', async () => {
        const pod = await started(podThat({ main: sleeping }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        await usageOf(pod)
        await stopAndWait(pod)
        await until(harness, 'it is gone', async () => {
          const { pods } = await backend.usage({ storage: true }, signal)
          return !pods.some(({ uid }) => uid === uidOf(pod))
        })
      })

      it('runs a command in a container, or says that it does not', async () => {
        const pod = await started(podThat({ main: sleeping }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        const call = (command: string) => backend.run(uidOf(pod), 'main', ['sh', '-c', command], signal)
        if (!backend.capabilities().features.has('exec')) {
          await expect(call('true')).rejects.toSatisfy(hasCodeOf('Unsupported'))
          return
        }
        const { stdout, stderr, exitCode } = await call('echo out; echo err >&2; exit 3')
        expect([String(stdout), String(stderr), exitCode]).toEqual(['out\n', 'err\n', 3])
        await expect(backend.run(uidOf(pod), 'other', ['true'], signal)).rejects.toSatisfy(
          hasCodeOf('NotFound'),
        )
      })

      it('says honestly how it is and what it holds', async () => {
        const capacity = await backend.capacity(signal)
        expect(capacity.pods).toBeGreaterThan(0)
        expect(capacity.cpuMillis).toBeGreaterThan(0n)
        const health = await backend.health(signal)
        expect(health.runtime.ok, health.runtime.message).toBe(true)
        expect(health.runtimeVersion).toMatch(/^\w+:\/\/\S+$/)
      })
    })

    describe('logs', () => {
      it('gives what was printed, the last lines of it, and with times', async () => {
        const pod = await started(podThat({ main: { does: 'print', lines: ['one', 'two', 'three'] } }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        await until(harness, 'the lines', async () => (await logOf(pod)) === 'one\ntwo\nthree\n')
        expect(await logOf(pod, { tailLines: 2 })).toBe('two\nthree\n')
        expect(await logOf(pod, { tailLines: 0 })).toBe('')
        expect(await logOf(pod, { limitBytes: 5 })).toBe('one\nt')
        expect(await logOf(pod, { timestamps: true, tailLines: 1 })).toMatch(
          /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) three\n$/,
        )
        const future = harness.clock.wallMs() + 60_000
        expect(await logOf(pod, { sinceMs: future })).toBe('')
        expect(await logOf(pod, { sinceMs: 0 })).toBe('one\ntwo\nthree\n')
      })

      it('follows to the end of the container, and gives it all again when the Pod has stopped', async () => {
        const pod = await started(
          podThat({ main: { does: 'count', lines: 5, everyMs: 300 } }, { spec: { restartPolicy: 'Never' } }),
        )
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        let followed: string | undefined
        const following = logOf(pod, { follow: true }).then((whole) => (followed = whole))
        await until(harness, 'the end of the log', () => followed !== undefined)
        await following
        expect(followed).toBe('line 1\nline 2\nline 3\nline 4\nline 5\n')
        await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
        expect(await logOf(pod)).toBe(followed)
      })

      it('keeps the log of the attempt before', async () => {
        const pod = await started(
          podThat({ main: { does: 'count', lines: 2, everyMs: 100 } }, { spec: { restartPolicy: 'Always' } }),
        )
        await follower.seen(uidOf(pod), 'a second attempt', (one) => containerOf(one).restartCount >= 1)
        expect(await logOf(pod, { previous: true })).toBe('line 1\nline 2\n')
      })

      it('has none of a container that is not there', async () => {
        const pod = await started(podThat({ main: sleeping }))
        await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        const call = backend.logs(uidOf(pod), 'other', wholeLog, signal)
        await expect(call).rejects.toSatisfy(hasCodeOf('NotFound'))
      })
    })

    describe('a restart of the process', () => {
      it('leaves Pods as they are, and looks after them again once they are started', async () => {
        const pod = await started(podThat({ main: sleeping }))
        const before = await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
        await follower.close()
        backend = await harness.restartProcess()
        follower = new Follower(harness)
        await until(harness, 'the snapshot', () => follower.synced)
        const found = follower.last(uidOf(pod)) ?? failed()
        expect(found).toMatchObject({ supervised: false, generation: 0, phase: 'running' })
        await started(pod)
        const after = await follower.seen(uidOf(pod), 'supervised', ({ supervised }) => supervised)
        expect(after.sandbox?.id).toBe(before.sandbox?.id)
        expect(containerOf(after).containerId).toBe(containerOf(before).containerId)
        expect(after).toMatchObject({ incarnation: 0, generation: 1, phase: 'running' })
      })

      it('finds how a Pod ended, and can stop and forget one that it does not look after', async () => {
        const ended = await started(
          podThat({ main: { does: 'exit', code: 5 } }, { spec: { restartPolicy: 'Never' } }),
        )
        const running = await started(podThat({ main: sleeping }))
        await follower.seen(uidOf(ended), 'stopped', ({ phase }) => phase === 'stopped')
        await follower.seen(uidOf(running), 'running', (one) => isRunning(one))
        await follower.close()
        backend = await harness.restartProcess()
        follower = new Follower(harness)
        await until(harness, 'the snapshot', () => follower.synced)
        expect(exitCodeOf(follower.last(uidOf(ended)) ?? failed())).toBe(5)
        await follower.seen(uidOf(ended), 'stopped', ({ phase }) => phase === 'stopped')
        await stopAndWait(running)
        for (const pod of [ended, running]) await backend.forget(uidOf(pod), signal)
        expect(await backend.list(signal)).toEqual([])
      })
    })
  })
}

function hasCodeOf(code: ErrorCode): (error: unknown) => boolean {
  return (error) => hasCode(error, code)
}

function failed(): never {
  throw new Error('the Pod is not in the state that the test needs')
}
