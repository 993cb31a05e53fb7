import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { podActions, type PodActionsInput } from '../../src/lifecycle/pod-actions.ts'
import type { Container } from '../../src/model/kubernetes.ts'
import type { ContainerObservation } from '../../src/model/pod-observation.ts'
import { aContainer, aPod } from '../support/builders.ts'
import { at, container, ended, exited, running } from './observations.ts'

interface Case {
  readonly policy?: string
  readonly init?: readonly Container[]
  readonly main?: readonly Container[]
  readonly input?: Partial<PodActionsInput>
}

const ready = { ready: true, attempt: 0 }
const sidecar = aContainer({ name: 'proxy', restartPolicy: 'Always' })
const setup = aContainer({ name: 'setup' })

function actionsOf({ policy = 'Always', init = [], main = [aContainer()], input = {} }: Case) {
  const pod = aPod({ spec: { restartPolicy: policy, initContainers: [...init], containers: [...main] } })
  return podActions({ pod, sandbox: ready, containers: [], stopping: false, nowMs: at(30), ...input })
}

function startsOf(given: Case): string[] {
  return actionsOf(given).start.map(({ name, attempt }) => `${name}#${attempt}`)
}

describe('the sandbox', () => {
  it('is made first, and nothing else in that round', () => {
    expect(actionsOf({ input: { sandbox: undefined } })).toEqual({
      createSandbox: { attempt: 0 },
      killPod: false,
      start: [],
      hooks: [],
      kill: [],
      waiting: [{ name: 'main', reason: 'ContainerCreating' }],
    })
  })

  it('is replaced under the next attempt when it is lost, and what still runs is killed', () => {
    const lost = { sandbox: { ready: false, attempt: 2 }, containers: [running('main')] }
    const actions = actionsOf({ input: lost })
    expect(actions).toMatchObject({ createSandbox: { attempt: 3 }, killPod: true, start: [] })
    expect(actions.kill.map(({ reason }) => reason)).toEqual(['SandboxLost'])
  })

  it('is not replaced when the Pod may not restart', () => {
    const lost = { sandbox: { ready: false, attempt: 0 }, containers: [exited('main', 137)] }
    expect(actionsOf({ policy: 'Never', input: lost })).toMatchObject({ killPod: true, finished: 'Failed' })
    expect(actionsOf({ policy: 'Never', input: lost }).createSandbox).toBeUndefined()
  })

  it('is made again, whatever the policy, when nothing was ever created in it', () => {
    const lost = { sandbox: { ready: false, attempt: 0 } }
    expect(actionsOf({ policy: 'Never', input: lost }).createSandbox).toEqual({ attempt: 1 })
  })

  it('is not replaced when all its containers have done their work', () => {
    const lost = { sandbox: { ready: false, attempt: 0 }, containers: [exited('main', 0)] }
    expect(actionsOf({ policy: 'OnFailure', input: lost }).finished).toBe('Succeeded')
  })

  it('runs the init containers again when it is new', () => {
    const outdated = 'newSandbox'
    const containers = [exited('setup', 0, { kind: 'init', outdated }), exited('main', 137, { outdated })]
    const input = { containers, sandbox: { ready: true, attempt: 1 } }
    expect(startsOf({ init: [setup], input })).toEqual(['setup#1'])
  })
})

describe('init containers', () => {
  it('start one after the other', () => {
    const init = [setup, aContainer({ name: 'migrate' })]
    expect(startsOf({ init })).toEqual(['setup#0'])
    expect(startsOf({ init, input: { containers: [running('setup', 10, { kind: 'init' })] } })).toEqual([])
    expect(startsOf({ init, input: { containers: [exited('setup', 0, { kind: 'init' })] } })).toEqual([
      'migrate#0',
    ])
  })

  it('let the Pod fail when they fail and may not restart', () => {
    const containers = [exited('setup', 1, { kind: 'init' })]
    const actions = actionsOf({ policy: 'Never', init: [setup], input: { containers } })
    expect(actions).toMatchObject({ killPod: true, finished: 'Failed', start: [] })
  })

  it('are tried again when they fail and may restart', () => {
    const containers = [exited('setup', 1, { kind: 'init' })]
    expect(startsOf({ policy: 'OnFailure', init: [setup], input: { containers } })).toEqual(['setup#1'])
  })

  it('have failed, too, when one of their processes ran out of memory, whatever the exit code', () => {
    const state = { ...ended(0, 10, 20), reason: 'OOMKilled' }
    const containers = [exited('setup', 0, { kind: 'init', state })]
    expect(startsOf({ init: [setup], input: { containers } })).toEqual(['setup#1'])
    const actions = actionsOf({ policy: 'Never', init: [setup], input: { containers } })
    expect(actions).toMatchObject({ finished: 'Failed', start: [] })
  })

  it('do not run again when their record is gone and a main container has run', () => {
    expect(startsOf({ init: [setup], input: { containers: [running('main')] } })).toEqual([])
  })
})

describe('sidecars', () => {
  it('hold up what follows until they have started', () => {
    const notYet = running('proxy', 10, { kind: 'sidecar', started: false })
    const now = running('proxy', 10, { kind: 'sidecar' })
    expect(startsOf({ init: [sidecar] })).toEqual(['proxy#0'])
    expect(startsOf({ init: [sidecar], input: { containers: [notYet] } })).toEqual([])
    expect(startsOf({ init: [sidecar], input: { containers: [now] } })).toEqual(['main#0'])
  })

  it('are restarted beside the main container, also when the Pod may not restart', () => {
    const containers = [exited('proxy', 1, { kind: 'sidecar' }), running('main')]
    expect(startsOf({ policy: 'Never', init: [sidecar], input: { containers } })).toEqual(['proxy#1'])
  })

  it('are ended with the Pod when the main containers are done', () => {
    const containers = [running('proxy', 10, { kind: 'sidecar' }), exited('main', 0)]
    const actions = actionsOf({ policy: 'Never', init: [sidecar], input: { containers } })
    expect(actions).toMatchObject({ killPod: true, finished: 'Succeeded', start: [], kill: [] })
  })
})

describe('main containers', () => {
  it.each([
    ['Always', 0, ['main#1'], undefined],
    ['Always', 1, ['main#1'], undefined],
    ['OnFailure', 0, [], 'Succeeded'],
    ['OnFailure', 1, ['main#1'], undefined],
    ['Never', 0, [], 'Succeeded'],
    ['Never', 1, [], 'Failed'],
  ])('with policy %s after exit code %i start %j and end %s', (policy, exitCode, starts, finished) => {
    const input = { containers: [exited('main', exitCode)] }
    expect(startsOf({ policy, input })).toEqual(starts)
    expect(actionsOf({ policy, input }).finished).toBe(finished)
  })

  it('wait for their back-off and say so in the words of kubelet', () => {
    const crashing = exited('main', 1, {
      restartCount: 1,
      backoffMs: 10_000,
      state: ended(1, 21, 25),
      lastTerminated: ended(1, 10, 20),
    })
    const actions = actionsOf({ input: { containers: [crashing] } })
    expect(actions.start).toEqual([])
    expect(actions.wakeAtMs).toBe(at(35))
    expect(actions.waiting).toEqual([
      {
        name: 'main',
        reason: 'CrashLoopBackOff',
        message: 'back-off 10s restarting failed container=main pod=web_default(uid-of-web)',
      },
    ])
    expect(startsOf({ input: { containers: [crashing], nowMs: at(35) } })).toEqual(['main#2'])
  })

  it('keep the Pod alive while one of them runs', () => {
    const main = [aContainer(), aContainer({ name: 'other' })]
    const input = { containers: [exited('main', 1), running('other')] }
    expect(actionsOf({ policy: 'Never', main, input })).toMatchObject({ killPod: false, start: [] })
  })

  it('follow their own restart rules before the policy', () => {
    const rules = [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }]
    const main = [aContainer({ restartPolicy: 'Never', restartPolicyRules: rules })]
    expect(startsOf({ main, input: { containers: [exited('main', 42)] } })).toEqual(['main#1'])
    expect(actionsOf({ main, input: { containers: [exited('main', 41)] } }).finished).toBe('Failed')
  })

  it('are killed when their probe or their new image asks for it', () => {
    const containers = [running('main')]
    const probe = actionsOf({ input: { containers, failedProbes: new Map([['main', 'liveness']]) } })
    const other = [running('main', 10, { image: 'other' })]
    const image = actionsOf({ policy: 'Never', input: { containers: other } })
    expect([...probe.kill, ...image.kill]).toEqual([
      {
        name: 'main',
        reason: 'LivenessFailed',
        message: 'Container main failed liveness probe, will be restarted',
        graceSeconds: 30,
        restartAtOnce: true,
      },
      {
        name: 'main',
        reason: 'SpecChanged',
        message: 'Container main definition changed, will be restarted',
        graceSeconds: 30,
        restartAtOnce: true,
      },
    ])
    const after = { containers: [exited('main', 137, { image: 'other', restartOwed: 'definition changed' })] }
    expect(startsOf({ policy: 'Never', input: after })).toEqual(['main#1'])
  })
})

describe('a Pod that is being ended', () => {
  const state = fc.oneof(
    fc.constant({ kind: 'waiting', reason: 'ContainerCreating' } as const),
    fc.constant({ kind: 'running', startedAtMs: at(10) } as const),
    fc.integer({ min: 0, max: 255 }).map((exitCode) => ended(exitCode, 10, 20)),
  )
  const seen = (name: string, kind: ContainerObservation['kind']) =>
    fc.record({ state, restartCount: fc.nat(20) }).map((over) => container(name, { kind, ...over }))
  const anything = fc.record({
    policy: fc.constantFrom('Always', 'OnFailure', 'Never'),
    containers: fc.tuple(seen('setup', 'init'), seen('proxy', 'sidecar'), seen('main', 'main')),
    sandbox: fc.option(fc.record({ ready: fc.boolean(), attempt: fc.nat(5) }), { nil: undefined }),
    nowMs: fc.integer({ min: at(0), max: at(100_000) }),
  })

  it('never gets anything started', () => {
    fc.assert(
      fc.property(anything, ({ policy, ...input }) => {
        const actions = actionsOf({ policy, init: [setup, sidecar], input: { ...input, stopping: true } })
        expect(actions.start).toEqual([])
        expect(actions.createSandbox).toBeUndefined()
      }),
    )
  })

  it('is never finished and going on at once, and attempts never go back', () => {
    fc.assert(
      fc.property(anything, ({ policy, ...input }) => {
        const actions = actionsOf({ policy, init: [setup, sidecar], input })
        if (actions.finished) expect(actions.start).toEqual([])
        for (const { name, attempt } of actions.start) {
          const before = input.containers.find((one) => one.name === name)
          if (before?.state.kind === 'terminated') expect(attempt).toBe(before.restartCount + 1)
        }
      }),
    )
  })
})
