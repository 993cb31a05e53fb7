import { describe, expect, it } from 'vitest'
import { decideActions, sandboxRestMs, waitingFor } from '../../../../src/backends/cri/pod/decide-actions.ts'
import type { ContainerStatus, SandboxStatus } from '../../../../src/backends/cri/runtime/cri-types.ts'
import {
  observePod,
  type ObserveInput,
  type SeenContainer,
} from '../../../../src/backends/cri/pod/observe.ts'
import { podRef } from '../../../../src/model/pod-key.ts'
import { aPod } from '../../../support/builders.ts'

const createdAt = '1767225600123456789'
const createdAtMs = 1_767_225_600_123

function sandbox(attempt = 0, overrides: Partial<SandboxStatus> = {}): SandboxStatus {
  return {
    id: `sandbox-${attempt}`,
    metadata: { name: 'web', uid: 'uid-of-web', namespace: 'default', attempt },
    state: 'SANDBOX_READY',
    createdAt,
    network: { ip: '10.0.0.7', additionalIps: [{ ip: 'fd00::7' }] },
    labels: {},
    annotations: {},
    ...overrides,
  }
}

function attempt(
  number: number,
  status: Partial<ContainerStatus>,
  more: Partial<SeenContainer> = {},
): SeenContainer {
  return {
    sandboxId: 'sandbox-0',
    ...more,
    status: {
      id: `container-${number}`,
      metadata: { name: 'main', attempt: number },
      state: 'CONTAINER_RUNNING',
      createdAt,
      startedAt: String(BigInt(createdAt) + 1_000_000_000n),
      finishedAt: '0',
      exitCode: 0,
      user: null,
      image: { image: 'sha256:abc', userSpecifiedImage: 'docker.io/library/busybox:1.37' },
      imageRef: 'docker.io/library/busybox@sha256:abc',
      imageId: 'sha256:abc',
      reason: '',
      message: '',
      labels: {},
      annotations: {},
      logPath: '',
      stopSignal: 'SIGNAL_RUNTIME_DEFAULT',
      mounts: [],
      resources: null,
      ...status,
    },
  }
}

const ended = { state: 'CONTAINER_EXITED', finishedAt: String(BigInt(createdAt) + 3_000_000_000n) } as const

function input(overrides: Partial<ObserveInput> = {}): ObserveInput {
  return {
    ref: podRef(aPod()),
    nodeName: 'burst-0',
    supervised: true,
    generation: 3,
    plans: [{ name: 'main', kind: 'main', image: 'docker.io/library/busybox:1.37' }],
    view: { sandboxes: [sandbox()], containers: [] },
    waiting: new Map(),
    wellness: new Map(),
    notes: { of: () => ({}), restartedAll: {} },
    restartingAll: false,
    trouble: undefined,
    allocation: undefined,
    ending: 'no',
    ...overrides,
  }
}

describe('what is seen of a Pod', () => {
  it('is told with all its facts while it runs', async () => {
    const seen = observePod(input({ view: { sandboxes: [sandbox()], containers: [attempt(0, {})] } }))
    await expect(JSON.stringify(seen, undefined, 2)).toMatchFileSnapshot('golden/running-observation.json')
  })

  it('keeps nanoseconds apart from milliseconds', () => {
    expect(observePod(input()).sandbox?.createdAtMs).toBe(createdAtMs)
  })

  it('takes the incarnation from the latest sandbox', () => {
    const lost = sandbox(0, { state: 'SANDBOX_NOTREADY' })
    const view = { sandboxes: [sandbox(2), lost, sandbox(1)], containers: [] }
    expect(observePod(input({ view }))).toMatchObject({ incarnation: 2, sandbox: { id: 'sandbox-2' } })
  })

  it('takes of two sandboxes with the same number the later, in whatever order they are told', () => {
    const revived = sandbox(0, { id: 'revived', state: 'SANDBOX_NOTREADY', createdAt: '1000000' })
    for (const sandboxes of [
      [revived, sandbox()],
      [sandbox(), revived],
    ]) {
      const seen = observePod(input({ view: { sandboxes, containers: [] } }))
      expect(seen.sandbox).toMatchObject({ id: 'sandbox-0', ready: true })
    }
  })

  it('has no sandbox while the one that there is has not come up', () => {
    // Go's zero time, as containerd tells it.
    const broken = sandbox(1, { state: 'SANDBOX_NOTREADY', createdAt: '-6795364578871345152' })
    const seen = observePod(input({ view: { sandboxes: [sandbox(), broken], containers: [] } }))
    expect(seen).toMatchObject({ incarnation: 1 })
    expect(seen.sandbox).toBeUndefined()
  })

  it('shows a container between two attempts as waiting, with how it ended', () => {
    const view = {
      sandboxes: [sandbox()],
      containers: [attempt(1, { ...ended, exitCode: 3 }), attempt(0, { ...ended, exitCode: 1 })],
    }
    const waiting = new Map([['main', { reason: 'CrashLoopBackOff', message: 'back-off 20s' }]])
    expect(observePod(input({ view, waiting })).containers[0]).toMatchObject({
      state: { kind: 'waiting', reason: 'CrashLoopBackOff' },
      lastTerminated: { exitCode: 3, reason: 'Error', finishedAtMs: createdAtMs + 3000 },
      restartCount: 1,
      ready: false,
    })
  })

  it('does not count a container that was created and never started', () => {
    const view = {
      sandboxes: [sandbox()],
      containers: [attempt(0, { state: 'CONTAINER_CREATED', startedAt: '0' })],
    }
    expect(observePod(input({ view }))).toMatchObject({
      phase: 'starting',
      containers: [{ state: { kind: 'waiting', reason: 'ContainerCreating' } }],
    })
  })

  it('does not count a start that was broken off because its caller died, but one that failed', () => {
    const start = { ...ended, startedAt: '0', exitCode: 128, reason: 'StartError' }
    const of = (message: string) =>
      observePod(input({ view: { sandboxes: [sandbox()], containers: [attempt(0, { ...start, message })] } }))
        .containers[0]?.state
    expect(of('failed to create containerd task: context canceled')).toMatchObject({ kind: 'waiting' })
    expect(of('exec: "nope": not found')).toMatchObject({ kind: 'terminated', exitCode: 128 })
  })

  it('adds last words to what the runtime says', () => {
    const view = {
      sandboxes: [sandbox()],
      containers: [attempt(0, { ...ended, exitCode: 1, message: 'runtime' }, { message: 'last words' })],
    }
    expect(observePod(input({ view })).containers[0]?.state).toMatchObject({
      message: 'runtime: last words',
    })
  })

  it('is stopping until everything is taken down', () => {
    const phases = (['no', 'under way', 'done'] as const).map((ending) => observePod(input({ ending })).phase)
    expect(phases).toEqual(['starting', 'stopping', 'stopped'])
  })
})

describe('what is done next', () => {
  const support = { pod: aPod(), probes: { failed: new Map() } }
  const decide = (view: ObserveInput['view']) => decideActions(support, input({ view }), createdAtMs + 5000)

  it('is a sandbox, then the container in it, then nothing', () => {
    expect(decide({ sandboxes: [], containers: [] }).createSandbox).toEqual({ attempt: 0 })
    expect(decide({ sandboxes: [sandbox()], containers: [] }).start).toEqual([
      { name: 'main', kind: 'main', attempt: 0, backoffMs: 0 },
    ])
    expect(decide({ sandboxes: [sandbox()], containers: [attempt(0, {})] }).start).toEqual([])
  })

  it('gives a lost sandbox a successor, but one that dies young not at once', () => {
    const dead = sandbox(4, { state: 'SANDBOX_NOTREADY' })
    const actions = decide({ sandboxes: [dead], containers: [] })
    expect(actions.createSandbox).toEqual({ attempt: 5 })
    expect(sandboxRestMs(actions, dead, createdAtMs + 1000)).toBe(7000)
    expect(sandboxRestMs(actions, dead, createdAtMs + 60_000)).toBe(0)
  })

  it('remembers why a container could not be started until it is', () => {
    const actions = decide({ sandboxes: [sandbox()], containers: [] })
    const before = new Map([['main', { reason: 'ErrImagePull', message: 'no such host' }]])
    expect(waitingFor(actions, before).get('main')).toEqual(before.get('main'))
    expect(waitingFor(actions, new Map()).get('main')?.reason).toBe('ContainerCreating')
  })
})
