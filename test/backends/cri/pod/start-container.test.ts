import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { terminationFile } from '../../../../src/backends/cri/paths.ts'
import { makeContainerFiles } from '../../../../src/backends/cri/pod/container-files.ts'
import {
  removeOldAttempts,
  startContainer,
  type ContainerStartInput,
} from '../../../../src/backends/cri/pod/start-container.ts'
import { plannedContainers } from '../../../../src/backends/cri/translate/translate.ts'
import { prepareVolumes } from '../../../../src/backends/cri/volumes/volumes.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import type { Pod } from '../../../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../../../support/builders.ts'
import { until } from '../../../support/until.ts'
import { anImage } from '../fake-runtime.ts'
import { credentialsFrom, FakeSources } from '../fake-sources.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { ended, sandbox } from '../seen.ts'

const { signal } = new AbortController()
const fieldPath = 'spec.containers{main}'
let pod: OnePod
let sources: FakeSources

beforeEach(async () => {
  pod = await OnePod.open()
  sources = new FakeSources()
  await pod.put(sandbox())
})

afterEach(async () => await pod.close())

async function start(of: Pod = aPod(), more: Partial<ContainerStartInput> = {}): Promise<void> {
  const { handle, clock } = pod
  const { log, shell } = handle.tools
  const { podDir } = handle.paths
  const own = { sources, ...credentialsFrom(sources, clock), clock, log, run: shell.run, tmpfs: false }
  const volumes = await prepareVolumes({ pod: of, podDir, ...own }, signal)
  const [planned] = plannedContainers(of)
  if (!planned) throw new Error('a Pod has a container')
  const images = {
    image: () => Promise.resolve(anImage('sha256:abc')),
    volumeImages: () => Promise.resolve(new Map()),
    files: (free: number) => makeContainerFiles(handle.paths, { name: planned.plan.name, attempt: free }),
  }
  const attempt = {
    pod: of,
    sources,
    planned,
    attempt: 0,
    backoffMs: 0,
    volumes,
    waits: signal,
    isolated: Promise.resolve(),
  }
  await startContainer({ ...handle, ...attempt, ...images, ...more }, signal)
}

function lost(): Promise<never> {
  return Promise.reject(runtimeGone())
}

/** As the client says it when containerd is killed in the middle of a call. */
function runtimeGone(): SpillwayError {
  const cause = { code: 14, details: 'Connection dropped' }
  return new SpillwayError('Unavailable', 'container runtime: Connection dropped', { cause })
}

describe('an attempt of a container', () => {
  it('is made in the current sandbox, started, seen and told of', async () => {
    await start(aPod({ spec: { containers: [aContainer({ command: ['sleep', '$(FOR)'], env })] } }))
    expect(pod.runtime.calls).toEqual(['create main-0', 'start main-0'])
    expect(pod.runtime.containerConfigs).toMatchObject([
      {
        metadata: { name: 'main', attempt: 0 },
        image: { image: 'sha256:abc', userSpecifiedImage: 'docker.io/library/busybox:1.37' },
        command: ['sleep', '9'],
        logPath: 'main/0.log',
      },
    ])
    expect(pod.handle.picture.running).toMatchObject([{ sandboxId: 'sandbox-0', status: { id: 'main-0' } }])
    expect(pod.told).toEqual([
      { type: 'Normal', reason: 'Created', message: 'Container created', fieldPath },
      { type: 'Normal', reason: 'Started', message: 'Container started', fieldPath },
    ])
  })

  it('finds its files when it is made: a message file for any user, a folder for its log, its hosts', async () => {
    const message = terminationFile(pod.handle.paths.podDir, 'main', 4)
    let mode = 0
    pod.runtime.before = async (call) => {
      if (call.startsWith('create')) mode = (await stat(message)).mode & 0o777
    }
    await start(aPod(), { attempt: 4 })
    expect(mode).toBe(0o666)
    expect(existsSync(join(pod.handle.paths.logDir, 'main'))).toBe(true)
    const hosts = pod.runtime.containerConfigs[0]?.mounts.find(
      ({ containerPath }) => containerPath === '/etc/hosts',
    )
    expect(await readFile(hosts?.hostPath ?? '', 'utf8')).toContain('10.0.0.7\tweb')
  })

  it('has a number that the runtime has not given to another of its name', async () => {
    await pod.put(containerNamed('main', 0, ended), containerNamed('main', 5, ended), containerNamed('x', 9))
    await start(aPod(), { attempt: 1 })
    expect(pod.runtime.calls).toEqual(['create main-6', 'start main-6'])
  })

  it('is no second one when the start of the first was broken off by our own end', async () => {
    const cancelled = { ...ended, startedAt: '0', reason: 'StartError', message: 'context canceled' }
    await pod.put(containerNamed('main', 0, cancelled))
    await start()
    expect(pod.runtime.calls).toEqual(['remove main', 'create main-0', 'start main-0'])
  })

  it('is not made in a sandbox that is lost', async () => {
    await pod.put(sandbox(1, { state: 'SANDBOX_NOTREADY' }))
    await expect(start()).rejects.toMatchObject({
      reason: 'CreateContainerError',
      message: 'the sandbox is lost',
    })
    expect(pod.runtime.calls).toEqual([])
  })

  it('has the back-off that is in force written on it, for the process that reads it next', async () => {
    await start(aPod(), { attempt: 2, backoffMs: 20_000 })
    expect(pod.runtime.containerConfigs[0]?.annotations).toMatchObject({
      'spillway.dev/restart-backoff-ms': '20000',
    })
  })

  it('is made while its Pod is not isolated yet, and started no sooner', async () => {
    const { promise, reject } = Promise.withResolvers<void>()
    const starting = start(aPod(), { isolated: promise })
    await until('it is made', () => Promise.resolve(pod.runtime.calls.includes('create main-0')), signal)
    reject(new SpillwayError('Unavailable', 'no rules'))
    await expect(starting).rejects.toThrow('no rules')
    expect(pod.runtime.calls).toEqual(['create main-0'])
  })

  it('starts in the sandbox that is there, whatever its pool says by now', async () => {
    pod.runtime.handlers = [{ name: 'runc', features: null }]
    await pod.handle.tools.runtime.ask(signal)
    await pod.put(sandbox(1, { runtimeHandler: 'runc' }))
    await start()
    expect(pod.handle.picture.running).toHaveLength(1)
  })

  it('asks the runtime what it can when nobody has yet', async () => {
    pod.runtime.handlers = [
      { name: 'runsc', features: { recursiveReadOnlyMounts: true, userNamespaces: false } },
    ]
    const volumeMounts = [
      { name: 'v', mountPath: '/v', readOnly: true, recursiveReadOnly: 'Enabled' } as const,
    ]
    const volumes = [{ name: 'v', emptyDir: {} }]
    await start(aPod({ spec: { containers: [aContainer({ volumeMounts })], volumes } }))
    expect(pod.runtime.containerConfigs[0]?.mounts).toContainEqual(
      expect.objectContaining({ containerPath: '/v', recursiveReadOnly: true }),
    )
  })
})

const env = [{ name: 'FOR', value: '9' }]

describe('an ephemeral container', () => {
  const debug = { name: 'debug', image: 'busybox', targetContainerName: 'main' }
  const ofPod = aPod({ spec: { containers: [], ephemeralContainers: [debug] } })

  it('sees the processes of the latest attempt of its target', async () => {
    await pod.put(containerNamed('main', 0, ended), containerNamed('main', 1))
    await start(ofPod)
    expect(pod.runtime.containerConfigs).toMatchObject([
      { linux: { securityContext: { namespaceOptions: { pid: 'TARGET', targetId: 'main-1' } } } },
    ])
  })

  it('starts in the sandbox that is there, whatever its pool says by now', async () => {
    pod.runtime.handlers = [{ name: 'runc', features: null }]
    await pod.handle.tools.runtime.ask(signal)
    await pod.put(sandbox(1, { runtimeHandler: 'runc' }), containerNamed('main', 0))
    await start(ofPod)
    expect(pod.runtime.containerConfigs).toHaveLength(1)
  })

  it('waits for a target that has not started', async () => {
    await expect(start(ofPod)).rejects.toMatchObject({
      reason: 'CreateContainerConfigError',
      message: 'unable to find target container main',
    })
  })
})

describe('a container that cannot be started', () => {
  const warned = (message: string) => ({ type: 'Warning', reason: 'Failed', message, fieldPath })

  it('for its image has the image’s reason, and when to try again; its files are not even made', async () => {
    const noImage = new SpillwayError('Busy', 'Back-off pulling image "x"', {
      reason: 'ImagePullBackOff',
      afterMs: 7000,
    })
    await expect(start(aPod(), { image: () => Promise.reject(noImage) })).rejects.toBe(noImage)
    expect(pod.told).toEqual([warned('Error: ImagePullBackOff')])
    expect(existsSync(join(pod.handle.paths.podDir, 'containers'))).toBe(false)
  })

  it('says so of its image first, whatever else is missing', async () => {
    const envFrom = [{ configMapRef: { name: 'settings' } }]
    const lacking = aPod({ spec: { containers: [aContainer({ envFrom })] } })
    const noImage = new SpillwayError('Unavailable', 'no', { reason: 'ErrImagePull' })
    await expect(start(lacking, { image: () => Promise.reject(noImage) })).rejects.toBe(noImage)
    await expect(start(lacking)).rejects.toMatchObject({
      reason: 'CreateContainerConfigError',
      message: 'configmap "settings" not found',
    })
    expect(pod.told.at(-1)).toEqual(warned('Error: configmap "settings" not found'))
    expect(pod.runtime.calls).toEqual([])
  })

  it('when the runtime does not make it has kubelet’s reason and the runtime’s sentence', async () => {
    const cause = { code: 2, details: 'no such device' }
    pod.runtime.before = () =>
      Promise.reject(new SpillwayError('Unavailable', 'runtime: no such device', { cause }))
    await expect(start()).rejects.toMatchObject({ reason: 'CreateContainerError', message: 'no such device' })
    expect(pod.told).toEqual([warned('Error: no such device')])
  })

  it('when its process does not begin is seen as it ended', async () => {
    pod.runtime.before = (call) => {
      if (!call.startsWith('start')) return
      pod.runtime.end('main-0', { exitCode: 128, reason: 'StartError', message: 'exec: "x": not found' })
      throw new SpillwayError('Unavailable', 'exec: "x": not found')
    }
    await expect(start()).rejects.toMatchObject({
      reason: 'RunContainerError',
      message: 'exec: "x": not found',
    })
    expect(pod.told.map(({ message }) => message)).toEqual([
      'Container created',
      'Error: exec: "x": not found',
    ])
    expect(pod.handle.picture.containers).toMatchObject([{ status: { id: 'main-0', exitCode: 128 } }])
  })

  it('in a sandbox that has just gone is no attempt, and the sandbox is known to be lost', async () => {
    pod.runtime.before = (call) => {
      if (call.startsWith('start'))
        throw new SpillwayError(
          'Unavailable',
          'creating container: cannot load sandbox: open x.state: no such file',
        )
    }
    await expect(start()).rejects.toMatchObject({ code: 'Busy', message: 'the sandbox is lost' })
    expect(pod.runtime.calls).toEqual(['create main-0', 'start main-0', 'remove main', 'stop sandbox-0'])
    expect(pod.handle.picture.containers).toEqual([])
    expect(pod.handle.picture.current?.state).toBe('SANDBOX_NOTREADY')
    // Nothing failed that the Pod could mend.
    expect(pod.told.map(({ message }) => message)).toEqual(['Container created'])
  })

  it('is not even made where the sandbox has gone by then, and that is nothing that failed either', async () => {
    pod.runtime.before = (call) => {
      if (!call.startsWith('create')) return
      throw new SpillwayError(
        'Unavailable',
        'container runtime, CreateContainer: cannot load sandbox: open x.state: no such file',
      )
    }
    await expect(start()).rejects.toMatchObject({ code: 'Busy', message: 'the sandbox is lost' })
    expect(pod.runtime.calls).toEqual(['create main-0', 'stop sandbox-0'])
    expect(pod.handle.picture.current?.state).toBe('SANDBOX_NOTREADY')
    expect(pod.told).toEqual([])
  })

  it('looks for its image anew when that was removed behind our back', async () => {
    const { images } = pod.handle.tools
    pod.runtime.images.set('busybox:1', anImage('sha256:old', 'busybox:1'))
    const container = { image: 'busybox:1' }
    const ensure = () => images.ensure({ pod: aPod(), container, sources, tell: () => {} }, signal)
    const known = await ensure()
    pod.runtime.images.set('busybox:1', anImage('sha256:new', 'busybox:1'))
    expect(await ensure()).toBe(known)
    pod.runtime.before = () => Promise.reject(new SpillwayError('NotFound', 'image not found'))
    await expect(start()).rejects.toMatchObject({ code: 'NotFound', reason: 'CreateContainerError' })
    expect((await ensure()).id).toBe('sha256:new')
  })

  it('because its Pod is to end is not made any more, whatever it was waiting for', async () => {
    const waits = new AbortController()
    const image = (inner: AbortSignal): Promise<never> => {
      waits.abort(new Error('let go'))
      return Promise.reject(inner.reason as Error)
    }
    await expect(start(aPod(), { image, waits: waits.signal })).rejects.toThrow('let go')
    expect(pod.runtime.calls).toEqual([])
  })
})

describe('a start that was broken off', () => {
  it('after the making goes on in the next process, without a second container', async () => {
    pod.runtime.before = (call) => {
      if (call.startsWith('start')) throw new Error('killed here')
    }
    await expect(start()).rejects.toThrow('killed here')
    pod.runtime.before = () => undefined
    pod = await pod.afterCrash()
    await start()
    expect(pod.runtime.calls).toEqual(['create main-0', 'start main-0', 'start main-0'])
    expect(pod.told.map(({ reason }) => reason)).toEqual(['Started'])
    expect(pod.handle.picture.running).toHaveLength(1)
  })

  it('in a sandbox that is gone is none: another is made under the next number', async () => {
    await pod.put(containerNamed('main', 0, { state: 'CONTAINER_CREATED', startedAt: '0' }), sandbox(1))
    await start()
    expect(pod.runtime.calls).toEqual(['create main-1', 'start main-1'])
    expect(pod.handle.picture.running).toMatchObject([{ sandboxId: 'sandbox-1' }])
  })

  it('by the end of the runtime, the container made, is found by its name, which is taken', async () => {
    pod.runtime.after = lost
    await expect(start()).rejects.toMatchObject({ reason: 'CreateContainerError' })
    pod.runtime.after = () => undefined
    await expect(start()).rejects.toMatchObject({ code: 'Busy', afterMs: 250 })
    await start()
    expect(pod.runtime.calls).toEqual(['create main-0', 'create main-0', 'start main-0'])
    expect(pod.runtime.containers.size).toBe(1)
  })

  it('by the end of the runtime, nobody knowing whether it began, has the reason of a failed start', async () => {
    pod.runtime.before = (call) => {
      if (!call.startsWith('start')) return undefined
      pod.runtime.beforeLook = lost
      return lost()
    }
    await expect(start()).rejects.toMatchObject({
      reason: 'RunContainerError',
      message: 'Connection dropped',
    })
    expect(pod.told.at(-1)).toMatchObject({ reason: 'Failed', message: 'Error: Connection dropped' })
  })

  it('by the end of the runtime, its process begun, is not done a second time', async () => {
    pod.runtime.after = (call) => {
      if (call.startsWith('start')) pod.runtime.beforeLook = lost
    }
    await expect(start()).rejects.toThrow('Connection dropped')
    pod.runtime.beforeLook = () => undefined
    await expect(start()).rejects.toMatchObject({ code: 'Busy' })
    expect(pod.handle.picture.running).toMatchObject([{ status: { id: 'main-0' } }])
    expect(pod.runtime.calls.filter((call) => call.startsWith('start'))).toHaveLength(1)
  })
})

describe('the attempts of a container', () => {
  const rotated = '20260101-000000'

  beforeEach(async () => {
    for (const number of [0, 1, 2, 3]) {
      await pod.put(containerNamed('main', number, number < 3 ? ended : {}))
      const message = terminationFile(pod.handle.paths.podDir, 'main', number)
      await pod.handle.notes.note('main', number, { postStart: 'done' })
      await writeFile(message, 'bye')
      for (const name of [`${number}.log`, `${number}.log.${rotated}.gz`, `1${number}.log`]) {
        const log = join(pod.handle.paths.logDir, 'main', name)
        await mkdir(dirname(log), { recursive: true })
        await writeFile(log, 'text')
      }
    }
  })

  async function left(): Promise<string[]> {
    const { podDir, logDir } = pod.handle.paths
    const folders = [join(podDir, 'containers', 'main'), join(logDir, 'main')]
    return (await Promise.all(folders.map((folder) => readdir(folder)))).flat().sort()
  }

  const expected = ['2', '3']
    .flatMap((number) => [
      `${number}.json`,
      `${number}.message`,
      `${number}.log`,
      `${number}.log.${rotated}.gz`,
    ])
    .concat(['10.log', '11.log', '12.log', '13.log'])
    .sort()

  it('are kept as evidence, the last two; older ones go with all that they wrote', async () => {
    await removeOldAttempts(pod.handle, 'main', signal)
    expect([...pod.runtime.containers.keys()]).toEqual(['main-2', 'main-3'])
    expect(pod.handle.picture.containers.map(({ status }) => status.id)).toEqual(['main-2', 'main-3'])
    expect(await left()).toEqual(expected)
    expect(pod.handle.notes.of('main', 1)).toEqual({})
    expect(pod.handle.notes.of('main', 2)).toEqual({ postStart: 'done' })
  })

  it('leave nothing behind when a crash comes between: what the runtime has no more has no files', async () => {
    pod.runtime.after = () => Promise.reject(new Error('killed here'))
    await expect(removeOldAttempts(pod.handle, 'main', signal)).rejects.toThrow('killed here')
    pod.runtime.after = () => undefined
    pod = await pod.afterCrash()
    await removeOldAttempts(pod.handle, 'main', signal)
    expect(await left()).toEqual(expected)
  })

  it('stay while they run, however old they are', async () => {
    await pod.put(containerNamed('side', 0), containerNamed('side', 1, ended), containerNamed('side', 2))
    await removeOldAttempts(pod.handle, 'side', signal)
    expect(pod.runtime.calls).toEqual([])
  })
})
