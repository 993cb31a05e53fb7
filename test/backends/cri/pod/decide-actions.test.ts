import { describe, expect, it } from 'vitest'
import {
  decideActions,
  newBackoffs,
  sandboxRestMs,
  waitingFor,
} from '../../../../src/backends/cri/pod/decide-actions.ts'
import type { ObserveInput, Waiting } from '../../../../src/backends/cri/pod/observe.ts'
import { aContainer, aPod } from '../../../support/builders.ts'
import { attempt, createdAtMs, ended, observeInput, sandbox } from '../seen.ts'

const support = { pod: aPod(), probes: { failed: new Map<string, 'liveness' | 'startup'>() } }
const nowMs = createdAtMs + 5000

function decide(view: ObserveInput['view'], more: Partial<ObserveInput> = {}, supported = support) {
  return decideActions(supported, observeInput({ view, ...more }), nowMs)
}

const running = { sandboxes: [sandbox()], containers: [attempt(0)] }

describe('what is done next', () => {
  it('is a sandbox, then the container in it, then nothing', () => {
    expect(decide({ sandboxes: [], containers: [] }).createSandbox).toEqual({ attempt: 0 })
    expect(decide({ sandboxes: [sandbox()], containers: [] }).start).toEqual([
      { name: 'main', kind: 'main', attempt: 0, backoffMs: 0 },
    ])
    expect(decide(running)).toMatchObject({ start: [], kill: [], hooks: [], killPod: false })
  })

  it('is a successor for a lost sandbox, but not at once for one that died young', () => {
    const dead = sandbox(4, { state: 'SANDBOX_NOTREADY' })
    const actions = decide({ sandboxes: [dead], containers: [] })
    expect(actions.createSandbox).toEqual({ attempt: 5 })
    expect(sandboxRestMs(actions, dead, createdAtMs + 1000)).toBe(7000)
    expect(sandboxRestMs(actions, dead, createdAtMs + 60_000)).toBe(0)
  })

  it('is the start that a container is owed, whatever the policy, for what was noted before its end', () => {
    const pod = aPod({ spec: { restartPolicy: 'Never' } })
    const view = { sandboxes: [sandbox()], containers: [attempt(0, { ...ended, exitCode: 137 })] }
    const owed = { of: () => ({ restartOwed: 'definition changed' }), restartedAll: {} }
    expect(decide(view, { notes: owed }, { ...support, pod }).start).toMatchObject([{ attempt: 1 }])
    expect(decide(view, {}, { ...support, pod })).toMatchObject({ start: [], finished: 'Failed' })
  })

  it('is the end of a container whose probe has failed', () => {
    const probes = { failed: new Map([['main', 'liveness' as const]]) }
    expect(decide(running, {}, { ...support, probes }).kill).toMatchObject([
      { name: 'main', reason: 'LivenessFailed' },
    ])
  })

  it('is the end of a container that cannot be resized as it runs, only while the resize is under way', () => {
    const resources = { requests: { cpu: '2' } }
    const resizePolicy = [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }]
    const pod = aPod({ spec: { containers: [aContainer({ resources, resizePolicy })] } })
    const notes = { of: () => ({ given: { requests: { cpu: '1' } } }), restartedAll: {} }
    const allocation = { generation: 2, resources: { containers: {} } }
    const kills = (more: Partial<ObserveInput>) =>
      decide(running, { notes, ...more }, { ...support, pod }).kill
    expect(kills({ allocation })).toMatchObject([{ name: 'main', reason: 'Resized' }])
    expect(kills({ allocation: { ...allocation, inEffectAtMs: nowMs } })).toEqual([])
    expect(kills({ allocation: undefined })).toEqual([])
  })
})

describe('why a container waits', () => {
  const actions = decide({ sandboxes: [sandbox()], containers: [] })

  it('is why it could not be started, until it is', () => {
    const before = new Map([['main', { reason: 'ErrImagePull', message: 'no such host' }]])
    expect(waitingFor(actions, before).get('main')).toEqual(before.get('main'))
    expect(waitingFor(actions, new Map()).get('main')?.reason).toBe('ContainerCreating')
    expect(waitingFor(decide(running), before).has('main')).toBe(false)
  })

  it('is no back-off any more once that is over', () => {
    const before = new Map([['main', { reason: 'CrashLoopBackOff', message: 'back-off 10s' }]])
    expect(waitingFor(actions, before).get('main')?.reason).toBe('ContainerCreating')
  })
})

describe('the news that a container backs off', () => {
  const named = { pod: aPod(), fieldPath: (name: string) => `spec.containers{${name}}` }
  const waits = (reason: string): ReadonlyMap<string, Waiting> => new Map([['main', { reason }]])

  it('is told in kubelet’s words', () => {
    expect(newBackoffs(waits('CrashLoopBackOff'), new Map(), named)).toEqual([
      {
        type: 'Warning',
        reason: 'BackOff',
        message: 'Back-off restarting failed container main in pod web_default(uid-of-web)',
        fieldPath: 'spec.containers{main}',
      },
    ])
  })

  it('is told once for each wait, and not of other waits', () => {
    const told = (before: ReadonlyMap<string, Waiting>) =>
      newBackoffs(waits('CrashLoopBackOff'), before, named).length
    expect(told(waits('CrashLoopBackOff'))).toBe(0)
    expect(told(waits('CreateContainerError'))).toBe(1)
    expect(newBackoffs(waits('ErrImagePull'), new Map(), named)).toEqual([])
  })
})

describe('the rest before the next sandbox', () => {
  const actions = decide({ sandboxes: [sandbox(0, { state: 'SANDBOX_NOTREADY' })], containers: [] })
  const restMs = (last: number) => sandboxRestMs(actions, sandbox(last), createdAtMs)

  it('doubles from half a second to ten seconds', () => {
    expect([0, 1, 2, 3, 4, 5, 1000].map(restMs)).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000])
  })

  it('is none for the first, and none when no sandbox is to be made', () => {
    expect(sandboxRestMs(actions, undefined, createdAtMs)).toBe(0)
    expect(sandboxRestMs(decide(running), sandbox(3), createdAtMs)).toBe(0)
  })
})
