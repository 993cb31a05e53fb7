/** Probes, hooks and restarts: each Pod on a virtual node and, as its twin, on the real kubelet of the same cluster. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { events, pods } from '../../src/kube/resources.ts'
import type { Container, ContainerStatus, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { allowInPool } from '../support/allow-in-pool.ts'
import { comparableStatus } from '../support/comparable-status.ts'
import { isReady, story } from '../support/story.ts'
import { onServer, outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-life'
const told = story(namespace)
// What kubectl debug adds by its usual profile.
allowInPool(told, { allow: [], capabilities: ['SYS_PTRACE'] })

const forever = 'trap "exit 0" TERM; while true; do sleep 0.1; done'
/** On a busy machine a command may take its time; that one does is not what these tell. */
const patient = { periodSeconds: 1, timeoutSeconds: 20 } as const
const often = { ...patient, failureThreshold: 2 } as const
const flag = { volumes: [{ name: 'flag', emptyDir: {} }] }
const flagMount = { volumeMounts: [{ name: 'flag', mountPath: '/flag' }] }
/**
 * Is up only after six probes have found that it is not, however late those are on a busy machine: up to four of a virtual
 * node's are early looks, which tell of no failure.
 */
const comeUpSlowly =
  'until test "$(grep -c no /tmp/probed)" -ge 6; do sleep 0.1; done 2>/dev/null; touch /tmp/up'
const seesItComeUp = {
  ...patient,
  failureThreshold: 60,
  exec: { command: ['sh', '-c', 'test -e /tmp/up && exit 0; echo no >> /tmp/probed; exit 1'] },
}
/** Fails the first time, does not the second. */
const once = (code: number) => `test -e /flag/done && exit 0; touch /flag/done; exit ${code}`

interface Life {
  readonly spec: Partial<PodSpec>
  /** What is waited for on both nodes. */
  readonly reached: (pod: Pod) => boolean
  /** Whether the whole status is the same from then on; it is not where containers go on being restarted. */
  readonly settles?: true
}

const lives: Readonly<Record<string, Life>> = {
  'a-command-that-fails': restarted({ livenessProbe: { ...often, exec: { command: ['cat', '/nothing'] } } }),
  'a-page-that-turns-bad': restarted(
    { livenessProbe: { ...often, httpGet: { path: '/healthz', port: 8080 } } },
    (name) => agnhost(name, 'liveness'),
  ),
  'a-port-that-nobody-listens-on': restarted({ livenessProbe: { ...often, tcpSocket: { port: 81 } } }),
  'a-service-that-is-unknown': restarted(
    { livenessProbe: { ...often, grpc: { port: 5000, service: 'unknown' } } },
    (name) => agnhost(name, 'grpc-health-checking'),
  ),
  'a-start-that-takes-too-long': restarted({ startupProbe: { ...often, exec: { command: ['false'] } } }),
  'a-grace-of-the-probe-s-own': restarted(
    {
      livenessProbe: { ...often, exec: { command: ['false'] }, terminationGracePeriodSeconds: 1 },
      command: ['sh', '-c', 'trap "" TERM; while true; do sleep 1; done'],
    },
    main,
    { terminationGracePeriodSeconds: 3600 },
  ),
  'a-post-start-hook-that-fails': restarted({
    lifecycle: { postStart: { exec: { command: ['cat', '/nothing'] } } },
  }),
  'a-slow-start-that-liveness-waits-for': {
    spec: {
      containers: [
        {
          ...main('main', `${comeUpSlowly}; ${forever}`),
          startupProbe: seesItComeUp,
          livenessProbe: {
            ...patient,
            failureThreshold: 1,
            exec: { command: ['test', '-e', '/tmp/up'] },
          },
        },
      ],
    },
    reached: isReady,
    settles: true,
  },
  'hooks-of-all-kinds-after-the-start': {
    spec: {
      containers: [
        {
          ...agnhost('server', 'netexec', '--http-port=8080', '--udp-port=-1'),
          lifecycle: {
            postStart: {
              exec: { command: ['sh', '-c', 'until curl -s localhost:8080; do sleep 0.1; done'] },
            },
          },
        },
        {
          ...main('http', forever),
          lifecycle: { postStart: { httpGet: { path: '/hostname', port: 8080 } } },
        },
        { ...main('sleep', forever), lifecycle: { postStart: { sleep: { seconds: 1 } } } },
      ],
    },
    reached: isReady,
    settles: true,
  },
  'an-init-container-that-is-tried-again': {
    spec: {
      ...flag,
      restartPolicy: 'Always',
      initContainers: [{ ...main('first', once(3)), ...flagMount }, main('second', 'exit 0')],
      containers: [main('main', forever)],
    },
    reached: isReady,
    settles: true,
  },
  'sidecars-that-gate-and-end-in-reverse': {
    spec: {
      initContainers: [sidecar('one', { startupProbe: seesItComeUp }), sidecar('two')],
      containers: [main('main', 'sleep 6; exit 0')],
      terminationGracePeriodSeconds: 30,
    },
    reached: isPhase('Succeeded'),
    settles: true,
  },
  'an-exit-code-that-asks-for-another-try': {
    spec: {
      ...flag,
      containers: [
        {
          ...main('main', once(42)),
          ...flagMount,
          restartPolicy: 'Never',
          restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }],
        },
      ],
    },
    reached: isPhase('Succeeded'),
    settles: true,
  },
  'last-words': {
    spec: {
      containers: [
        { ...main('file', 'echo -n by file > /words; exit 1'), terminationMessagePath: '/words' },
        { ...main('log', 'echo by log; exit 1'), terminationMessagePolicy: 'FallbackToLogsOnError' },
        { ...main('well', 'echo nothing; exit 0'), terminationMessagePolicy: 'FallbackToLogsOnError' },
      ],
    },
    reached: isPhase('Failed'),
    settles: true,
  },
  'processes-that-see-each-other': {
    spec: {
      shareProcessNamespace: true,
      containers: [main('main', 'grep -q pause /proc/1/cmdline; exit $?'), main('other', 'sleep 1')],
    },
    reached: isPhase('Succeeded'),
    settles: true,
  },
  'a-hook-before-the-end-that-fails': {
    spec: {
      // Long enough for a start among all the others.
      activeDeadlineSeconds: 25,
      containers: [
        { ...main('main', forever), lifecycle: { preStop: { exec: { command: ['cat', '/nothing'] } } } },
      ],
    },
    reached: isPhase('Failed'),
    settles: true,
  },
}

const twin = (name: string): string => `${name}-on-server`

beforeAll(async () => {
  const { api, signal } = told.current
  const create = async (name: string, spec: Partial<PodSpec>): Promise<void> =>
    void (await api.create(pods, scriptPod({ namespace, name }, '', spec), signal))
  for (const [name, { spec }] of Object.entries(lives)) {
    await Promise.all([create(name, { ...spec, ...outByHand }), create(twin(name), { ...spec, ...onServer })])
  }
})

// Of whom one would take an hour to go by itself.
afterAll(async () => {
  const { api, signal } = told.current
  for (const { metadata } of told.current.pods()) {
    await api.delete(pods, { namespace, name: metadata?.name ?? '' }, { graceSeconds: 1 }, signal)
  }
})

describe('a Pod lives on a virtual node as on a server', () => {
  test.each(Object.entries(lives))('%s', async (name, { reached, settles }) => {
    const { until } = told.current
    const names = [name, twin(name)] as const
    for (const one of names) {
      await until(
        `${one} gets there`,
        () => {
          const pod = told.current.pod(one)
          return pod !== undefined && reached(pod)
        },
        120_000,
      )
    }
    const both = async (): Promise<readonly [unknown, unknown]> => [
      await lifeOf(names[0], settles),
      await lifeOf(names[1], settles),
    ]
    const same = async (): Promise<boolean> => {
      const [virtual, real] = await both()
      return JSON.stringify(virtual) === JSON.stringify(real)
    }
    // Events come after what they tell of.
    await until('both are told of alike', same, 20_000).catch(() => undefined)
    const [virtual, real] = await both()
    expect(virtual).toEqual(real)
  })

  test('sidecars began one after the other, and ended after the main container, the last one first', () => {
    for (const name of [
      'sidecars-that-gate-and-end-in-reverse',
      twin('sidecars-that-gate-and-end-in-reverse'),
    ]) {
      const { initContainerStatuses = [], containerStatuses = [] } = told.current.pod(name)?.status ?? {}
      const [one, two] = initContainerStatuses.map(timesOf)
      const [last] = containerStatuses.map(timesOf)
      expect({ name, gated: Number(two?.startedMs) >= Number(one?.startedMs) + 1000 }).toEqual({
        name,
        gated: true,
      })
      expect({ name, after: Number(two?.finishedMs) >= Number(last?.finishedMs) }).toEqual({
        name,
        after: true,
      })
      expect({ name, last: Number(one?.finishedMs) >= Number(two?.finishedMs) }).toEqual({ name, last: true })
    }
  })
})

test('kubectl debug looks into a running Pod', async () => {
  const { kubectl, until } = told.current
  const name = 'hooks-of-all-kinds-after-the-start'
  const reports: unknown[] = []
  for (const pod of [name, twin(name)]) {
    const args = [
      '--image=docker.io/library/busybox:1.37',
      '--target=sleep',
      '--container=look',
      '--profile=general',
    ]
    // The process of the target is in sight.
    const script = 'ps | grep -q "[w]hile true"; echo seen $?; exit 3'
    const { code, stderr } = await kubectl('debug', pod, ...args, '--', 'sh', '-c', script)
    expect({ code, stderr }).toMatchObject({ code: 0 })
    const look = () => told.current.pod(pod)?.status?.ephemeralContainerStatuses?.[0]
    await until(`${pod} was looked into`, () => look()?.state?.terminated !== undefined)
    const { exitCode, reason } = look()?.state?.terminated ?? {}
    reports.push({ exitCode, reason, log: (await kubectl('logs', pod, '-c', 'look')).stdout })
  }
  expect(reports[0]).toEqual({ exitCode: 3, reason: 'Error', log: 'seen 0\n' })
  expect(reports[1]).toEqual(reports[0])
})

/** What people can see of it, without what differs from one Pod, or one time, to the next. */
async function lifeOf(name: string, settles: true | undefined): Promise<object> {
  const pod = told.current.pod(name)
  return { events: await eventsOf(name), ...(settles && { status: comparableStatus(pod) }) }
}

// The scheduler's, and those of images, which depend on what was there before.
const foreign = new Set(['Scheduled', 'Pulling', 'Pulled'])

// A server that was probed before it listened.
const early = /failed to connect service|:8080: connect: connection refused/

// Node authorization learns of a binding a moment after the node does; kubelet is told the same now and then.
const tooSoon = /no relationship found between node/

async function eventsOf(name: string): Promise<readonly string[]> {
  const { api, signal } = told.current
  const fieldSelector = `involvedObject.name=${name}`
  const { items } = await api.list(events, { namespace, fieldSelector }, signal)
  const own = items.filter(
    ({ reason = '', message = '' }) => !foreign.has(reason) && !early.test(message) && !tooSoon.test(message),
  )
  const sentences = own.map(({ type, reason, message = '', involvedObject }) => {
    const plain = message
      .replaceAll(involvedObject?.uid ?? '', '<uid>')
      .replaceAll(/\b10\.24\d\.\d+\.\d+/g, '<ip>')
      .replaceAll(name, '<name>')
      .replaceAll(/\b[0-9a-f]{64}\b/g, '<id>')
    return `${type} ${reason} ${involvedObject?.fieldPath ?? ''} ${plain}`
  })
  return [...new Set(sentences)].sort()
}

function timesOf({ state }: ContainerStatus): { readonly startedMs: number; readonly finishedMs: number } {
  const { startedAt = '', finishedAt = '' } = state?.terminated ?? {}
  return { startedMs: Date.parse(startedAt), finishedMs: Date.parse(finishedAt) }
}

function isPhase(phase: string) {
  return (pod: Pod): boolean => pod.status?.phase === phase
}

/** One whose container is ended by us and begins anew. */
function restarted(
  change: Partial<Container>,
  make: (name: string) => Container = main,
  spec: Partial<PodSpec> = {},
): Life {
  return {
    spec: { restartPolicy: 'Always', ...spec, containers: [{ ...make('main'), ...change }] },
    reached: ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
  }
}

function main(name: string, script = forever): Container {
  const resources = { requests: { cpu: '10m', memory: '16Mi' } }
  return { name, image: 'docker.io/library/busybox:1.37', command: ['sh', '-c', script], resources }
}

function agnhost(name: string, ...args: readonly string[]): Container {
  const resources = { requests: { cpu: '10m', memory: '16Mi' } }
  return { name, image: 'registry.k8s.io/e2e-test-images/agnhost:2.66.1', args: [...args], resources }
}

function sidecar(name: string, change: Partial<Container> = {}): Container {
  const slowly = change.startupProbe === undefined ? 'true' : comeUpSlowly
  const script = `trap "sleep 1; exit 0" TERM; ${slowly}; while true; do sleep 0.1; done`
  return { ...main(name, script), restartPolicy: 'Always', ...change }
}
