import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createCriBackend } from '../../src/backends/cri/backend.ts'
import type { CriBackendSettings } from '../../src/backends/cri/open-tools.ts'
import type { CriOptions } from '../../src/backends/cri/config.ts'
import { Cgroups } from '../../src/backends/cri/resources/cgroups.ts'
import type { Backend } from '../../src/backends/backend.ts'
import { systemClock } from '../../src/model/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import type { BackendHarness, Workload, WorkloadParts } from '../conformance/harness.ts'
import { busyboxImage, type PrivateContainerd } from './private-containerd.ts'

export interface CriHarness extends BackendHarness {
  readonly stateDir: string
  readonly instance: string
  readonly cgroupParent: string
  /** What `createCriBackend` was given, but for clock and log. */
  readonly settings: Pick<CriBackendSettings, 'name' | 'options' | 'owner'>
}

/** A backend of its own instance on a containerd that is shared by the tests of a file. */
export async function criHarness(
  runtime: PrivateContainerd,
  options: Partial<CriOptions> = {},
  more: Pick<CriBackendSettings, 'doors'> = {},
): Promise<CriHarness> {
  const instance = `test-${randomUUID().slice(0, 8)}`
  const stateDir = join(runtime.dir, instance)
  const cgroupParent = `/spillway-${instance}`
  const settings = {
    name: 'cri',
    // It has nothing else, and nothing is runc by itself.
    options: { socket: runtime.socket, stateDir, cgroupParent, runtimeHandler: 'runc', ...options },
    owner: { clusterUid: 'test-cluster', instance },
  }
  const make = (): Promise<Backend> =>
    createCriBackend({ ...settings, ...more, clock: systemClock, log: silentLog(), random: () => 0.5 })
  let backend = await make()
  return {
    stateDir,
    instance,
    cgroupParent,
    settings,
    clock: systemClock,
    backend: () => backend,
    restartProcess: async () => {
      await backend.close()
      backend = await make()
      return backend
    },
    workload: shell,
    pause: () => systemClock.sleep(20, new AbortController().signal),
    patienceMs: 40_000,
    close: async () => {
      const { signal } = new AbortController()
      const pods = await backend.list(signal)
      await Promise.all(pods.map(({ uid }) => backend.stop(uid, { graceSeconds: 1 }, signal)))
      for (const { uid } of pods) await forgetOnceStopped(backend, uid)
      await backend.close()
      await rm(stateDir, { recursive: true, force: true })
      await removeParents(cgroupParent)
    },
  }
}

async function forgetOnceStopped(backend: Backend, uid: Parameters<Backend['forget']>[0]): Promise<void> {
  const giveUp = AbortSignal.timeout(30_000)
  for await (const event of backend.watch(giveUp)) {
    if (event.kind === 'observed' && event.pod.uid === uid && event.pod.phase === 'stopped') break
  }
  await backend.forget(uid, giveUp)
}

async function removeParents(cgroupParent: string): Promise<void> {
  const cgroups = await Cgroups.open(cgroupParent)
  await cgroups.removeParent()
}

const untilTerm = 'trap "exit 0" TERM; while true; do sleep 0.1; done'

/** What a container does, as a shell script of busybox. */
export function shell(_container: string, workload: Workload): WorkloadParts {
  switch (workload.does) {
    case 'sleep':
      return sh(untilTerm)
    case 'spin':
      return sh('trap "exit 0" TERM; while true; do true; done')
    case 'ignoreTerm':
      return sh('trap "" TERM; while true; do sleep 1; done')
    case 'exit':
      return sh(`sleep ${(workload.afterMs ?? 0) / 1000}; exit ${workload.code}`)
    case 'failOnce': {
      const parts = sh('test -e /once/done && exit 0; touch /once/done; exit 1')
      const volumeMounts = [{ name: 'once', mountPath: '/once' }]
      return { container: { ...parts.container, volumeMounts }, volumes: [{ name: 'once', emptyDir: {} }] }
    }
    case 'print':
      return sh(`${workload.lines.map((line) => `echo '${line}'`).join('; ')}; ${untilTerm}`)
    case 'count':
      return sh(
        `for i in $(seq 1 ${workload.lines}); do test $i = 1 || sleep ${workload.everyMs / 1000}; echo line $i; done`,
      )
    case 'printVariable':
      return sh(`echo "$${workload.variable}"; ${untilTerm}`)
    case 'becomeReady': {
      const parts = sh(`sleep ${workload.afterMs / 1000}; touch /tmp/ready; ${untilTerm}`)
      const readinessProbe = { exec: { command: ['test', '-e', '/tmp/ready'] }, periodSeconds: 1 }
      return { container: { ...parts.container, readinessProbe } }
    }
    default:
      throw new Error(`no command for ${JSON.stringify(workload)}`)
  }
}

export function sh(script: string): WorkloadParts {
  return {
    container: { image: busyboxImage, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', script] },
  }
}
