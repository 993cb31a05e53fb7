import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { podStatus, type PodStatusInput } from '../../src/lifecycle/pod-status.ts'
import type { PodSpec, PodStatus } from '../../src/model/kubernetes.ts'
import type { ContainerKind, ContainerObservation, PodObservation } from '../../src/model/pod-observation.ts'
import { aContainer, aPod } from '../support/builders.ts'
import { at, container, ended, exited, observed, running } from './observations.ts'

interface Exit {
  readonly code: number
  readonly from: number
  readonly to: number
}

/** What a golden file says, in fewer words than the types want. */
interface Golden {
  readonly about: string
  readonly pod: {
    readonly init?: readonly string[]
    readonly sidecar?: readonly string[]
    readonly main: readonly string[]
    readonly restartPolicy?: string
    readonly readinessGates?: readonly string[]
    readonly deleted?: boolean
  }
  readonly observed?: {
    readonly phase: PodObservation['phase']
    readonly sandboxReady?: boolean
    readonly containers: readonly {
      readonly name: string
      readonly kind: ContainerKind
      readonly running?: number
      readonly waiting?: string
      readonly exit?: Exit
      readonly lastExit?: Exit
      readonly restartCount?: number
    }[]
  }
  readonly refusal?: { readonly reason: string; readonly message: string }
  readonly previous: PodStatus
}

function inputOf({ pod, observed: seen, refusal, previous }: Golden): PodStatusInput {
  const init = [
    ...(pod.init ?? []).map((name) => aContainer({ name })),
    ...(pod.sidecar ?? []).map((name) => aContainer({ name, restartPolicy: 'Always' })),
  ]
  return {
    pod: aPod({
      metadata: { generation: 3, ...(pod.deleted && { deletionTimestamp: '2026-01-01T00:00:20Z' }) },
      spec: {
        restartPolicy: pod.restartPolicy ?? 'Always',
        ...(init.length > 0 && { initContainers: init }),
        containers: pod.main.map((name) => aContainer({ name, resources: { requests: { cpu: '1' } } })),
        readinessGates: (pod.readinessGates ?? []).map((conditionType) => ({ conditionType })),
      },
    }),
    observed:
      seen &&
      observed({
        phase: seen.phase,
        sandbox: {
          id: 'sandbox-0',
          createdAtMs: at(5),
          ready: seen.sandboxReady ?? true,
          podIps: seen.sandboxReady === false ? [] : ['10.245.0.7'],
        },
        containers: seen.containers.map(containerOf),
      }),
    refusal,
    previous,
    node: { hostIps: ['10.200.0.1'] },
    nowMs: at(30),
  }
}

type GoldenContainer = NonNullable<Golden['observed']>['containers'][number]

function containerOf({
  name,
  kind,
  lastExit,
  restartCount = 0,
  ...golden
}: GoldenContainer): ContainerObservation {
  const over = {
    kind,
    restartCount,
    ...(lastExit && { lastTerminated: ended(lastExit.code, lastExit.from, lastExit.to) }),
  }
  if (golden.running !== undefined) return running(name, golden.running, over)
  if (golden.exit) {
    const { code, from, to } = golden.exit
    return exited(name, code, { ...over, state: ended(code, from, to) })
  }
  return container(name, { ...over, state: { kind: 'waiting', reason: golden.waiting ?? '' } })
}

const folder = join(import.meta.dirname, 'golden/pod-status')
const goldens = globSync('*.yaml', { cwd: folder }).filter((file) => !file.endsWith('.expected.yaml'))

describe('the status that is reported', () => {
  it.each(goldens.sort())('is as written down: %s', async (file) => {
    const golden = parse(readFileSync(join(folder, file), 'utf8')) as Golden
    const status = podStatus(inputOf(golden))
    const expected = join(folder, `${basename(file, '.yaml')}.expected.yaml`)
    await expect(stringify(status)).toMatchFileSnapshot(expected)
  })

  it('does not change when nothing has changed', () => {
    for (const file of goldens) {
      const input = inputOf(parse(readFileSync(join(folder, file), 'utf8')) as Golden)
      const once = podStatus(input)
      expect(podStatus({ ...input, previous: once, nowMs: at(3_000) }), file).toEqual(once)
    }
  })
})

it('An ephemeral container is never ready, and of its start nothing is said, as it serves nobody', () => {
  const input = inputOf({ about: '', pod: { main: ['main'] }, previous: {} })
  const ephemeralContainers = [{ name: 'debugger', image: 'busybox' }]
  const pod = { ...input.pod, spec: { ...input.pod.spec, ephemeralContainers } as PodSpec }
  const debuggerThat = (...seen: ContainerObservation[]) => {
    const containers = [running('main'), ...seen]
    return podStatus({ ...input, pod, observed: observed({ containers }) }).ephemeralContainerStatuses?.[0]
  }
  const runs = debuggerThat(running('debugger', 20, { kind: 'ephemeral' }))
  expect(runs).toMatchObject({ state: { running: {} }, ready: false })
  for (const status of [runs, debuggerThat()]) expect(status).not.toHaveProperty('started')
})

it('An init container of which nothing is left has completed when the main ones have run', () => {
  const input = inputOf({ about: '', pod: { init: ['setup'], main: ['main'] }, previous: {} })
  const seen = observed({ containers: [running('main')] })
  const [setup] = podStatus({ ...input, observed: seen }).initContainerStatuses ?? []
  expect(setup?.ready).toBe(true)
  expect(setup?.state?.terminated).toEqual({
    exitCode: 0,
    reason: 'Completed',
    message:
      'Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally',
  })
})

it('A status names no two addresses of one family, and the family of the node first', () => {
  const input = inputOf({ about: '', pod: { main: ['main'] }, previous: {} })
  const podIps = ['fd00::7', '10.245.0.7', '192.168.0.7']
  const sandbox = { id: 'sandbox-0', createdAtMs: at(5), ready: true, podIps }
  const { podIP, podIPs } = podStatus({ ...input, observed: observed({ sandbox }) })
  expect({ podIP, podIPs }).toEqual({
    podIP: '10.245.0.7',
    podIPs: [{ ip: '10.245.0.7' }, { ip: 'fd00::7' }],
  })
})

describe('that all containers begin anew', () => {
  const rule = { action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [88] } }
  const main = aContainer({ name: 'main', restartPolicy: 'Never', restartPolicyRules: [rule] })
  const input = inputOf({ about: '', pod: { main: ['main'] }, previous: {} })
  const pod = { ...input.pod, spec: { ...input.pod.spec, containers: [main] } }
  const restarting = observed({ restartingAll: true, containers: [exited('main', 88)] })
  const told = (over: Partial<PodStatusInput>) =>
    podStatus({ ...input, pod, ...over }).conditions?.find(({ type }) => type === 'AllContainersRestarting')

  it('is told from the exit until they are gone, with the time of each change', () => {
    const before = podStatus({ ...input, pod, observed: observed({ containers: [running('main')] }) })
    const during = podStatus({ ...input, pod, observed: restarting, previous: before, nowMs: at(40) })
    expect(told({ observed: restarting, previous: before, nowMs: at(40) })).toEqual({
      type: 'AllContainersRestarting',
      status: 'True',
      reason: 'RestartAllContainersStarted',
      message: 'container exited with restart policy rule',
      lastTransitionTime: '2026-01-01T00:00:40Z',
    })
    const after = {
      observed: observed({ containers: [running('main', 45)] }),
      previous: during,
      nowMs: at(50),
    }
    expect(told(after)).toEqual({
      type: 'AllContainersRestarting',
      status: 'False',
      lastTransitionTime: '2026-01-01T00:00:50Z',
    })
  })

  it('is told of no Pod that is over, or has no such rule', () => {
    const over = { ...restarting, phase: 'stopped' } as const
    expect(told({ observed: over })).toMatchObject({ status: 'False', reason: 'PodFailed' })
    expect(told({ pod: input.pod, observed: restarting })).toBeUndefined()
  })
})

describe('what containers left to say', () => {
  it.each([
    { others: 0, most: 4_096 },
    { others: 2, most: 4_096 },
    { others: 3, most: 3_072 },
    { others: 11, most: 1_024 },
  ])('is cut to a share of 12 KiB: beside $others others to $most bytes', ({ others, most }) => {
    const names = Array.from({ length: others }, (_, index) => `other-${index}`)
    const input = inputOf({ about: '', pod: { init: names, main: ['main'] }, previous: {} })
    const end = { ...ended(1, 10, 20), message: 'é'.repeat(2_048) }
    const seen = observed({
      containers: [running('main', 30, { lastTerminated: end }), exited('other-0', 0, { state: end })],
    })
    const { containerStatuses, initContainerStatuses } = podStatus({ ...input, observed: seen })
    const messages = [
      containerStatuses?.[0]?.lastState?.terminated?.message,
      ...(others > 0 ? [initContainerStatuses?.[0]?.state?.terminated?.message] : []),
    ]
    for (const message of messages) expect(message).toBe('é'.repeat(most / 2))
  })
})

const codes = fc.integer({ min: 0, max: 255 })
const state = fc.oneof(
  fc
    .constantFrom('ContainerCreating', 'CrashLoopBackOff')
    .map((reason) => ({ kind: 'waiting', reason }) as const),
  fc.nat(60).map((seconds) => ({ kind: 'running', startedAtMs: at(seconds) }) as const),
  codes.map((code) => ended(code, 10, 20)),
)
const anyContainer = (name: string, kind: ContainerKind) =>
  fc.record({ state, restartCount: fc.nat(5), started: fc.boolean(), ready: fc.boolean() }).chain((over) =>
    fc.option(codes, { nil: undefined }).map((code) =>
      container(name, {
        kind,
        ...over,
        ...(code !== undefined && { lastTerminated: ended(code, 1, 5) }),
      }),
    ),
  )
const anyObserved = fc.option(
  fc
    .record({
      phase: fc.constantFrom('starting', 'running', 'stopping', 'stopped'),
      containers: fc.tuple(anyContainer('setup', 'init'), anyContainer('main', 'main')),
    })
    .map((over) => observed(over)),
  { nil: undefined },
)
const anyStory = fc.record({
  restartPolicy: fc.constantFrom('Always', 'OnFailure', 'Never'),
  deleted: fc.boolean(),
  pictures: fc.array(anyObserved, { minLength: 2, maxLength: 8 }),
})

/** The statuses that follow from one another when these pictures are seen. */
function statusesOf({
  restartPolicy,
  deleted,
  pictures,
}: typeof anyStory extends fc.Arbitrary<infer T> ? T : never) {
  let previous: PodStatus = { phase: 'Pending' }
  return pictures.map((picture, index) => {
    const golden = { about: '', pod: { init: ['setup'], main: ['main'], restartPolicy, deleted }, previous }
    previous = podStatus({ ...inputOf(golden), observed: picture, nowMs: at(100 + index) })
    return previous
  })
}

describe('over any course of events', () => {
  it('a terminal phase is never taken back', () => {
    fc.assert(
      fc.property(anyStory, (story) => {
        const phases = statusesOf(story).map(({ phase }) => phase)
        const end = phases.findIndex((phase) => phase === 'Succeeded' || phase === 'Failed')
        if (end >= 0) expect(new Set(phases.slice(end)).size).toBe(1)
      }),
    )
  })

  it('restart counts never go down, and the start time never changes', () => {
    fc.assert(
      fc.property(anyStory, (story) => {
        const statuses = statusesOf(story)
        const counts = statuses.map(({ containerStatuses }) => containerStatuses?.[0]?.restartCount ?? 0)
        expect(counts).toEqual([...counts].sort((a, b) => a - b))
        expect(new Set(statuses.map(({ startTime }) => startTime)).size).toBe(1)
      }),
    )
  })

  it('a Pod is terminal only when nothing of it is left to run', () => {
    fc.assert(
      fc.property(anyStory, ({ pictures: [first], ...story }) => {
        const [status] = statusesOf({ ...story, pictures: [first] })
        if (first && first.phase !== 'stopped') expect(['Pending', 'Running']).toContain(status?.phase)
        if (first?.phase === 'stopped') expect(['Succeeded', 'Failed']).toContain(status?.phase)
      }),
    )
  })

  it('every container of the spec has a status with exactly one state', () => {
    fc.assert(
      fc.property(anyStory, (story) => {
        for (const status of statusesOf(story)) {
          const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]
          expect(all.map(({ name }) => name)).toEqual(['setup', 'main'])
          for (const one of all) expect(Object.keys(one.state ?? {})).toHaveLength(1)
        }
      }),
    )
  })
})
