import type { Container, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import type { WitnessedPod } from './cri-witness.ts'
import { isReady } from './story.ts'
import { outByHand, scriptPod } from './story-manifests.ts'

/** A Pod that is brought into one state of one kind of container, and what has to become of it whatever happens then. */
export interface Life {
  /** What it is in the middle of; also the Pod's name. */
  readonly name: string
  readonly spec: Partial<PodSpec>
  /** What a user does to bring it there, once it runs. */
  readonly begin?: 'delete' | 'debug'
  /** A line in the main container's log says that it is there. */
  readonly logged?: string
  readonly reached: (now: Now) => boolean
  /** It does not stay there for as long as the others: a first back-off lasts ten seconds. */
  readonly brief?: true
  readonly becomes: 'ready' | 'gone' | 'Succeeded' | 'Failed'
  /** Every attempt that ever ran: `name#attempt`, with its exit code or as still running. */
  readonly ran: readonly string[]
}

/** What is seen of it at one time. */
export interface Now {
  readonly pod: Pod | undefined
  readonly witnessed: WitnessedPod
}

const forever = 'trap "exit 0" TERM; while true; do sleep 0.1; done'
const kept = { volumeMounts: [{ name: 'kept', mountPath: '/kept' }] }
const volumes = [{ name: 'kept', emptyDir: {} }]
/** Long enough for all of them to come there, and for a crash and a start to fall into it. */
const aWhile = 'sleep 20'
/** The first restart is at once, and the second after ten seconds: in between is the state that is meant. */
const failsTwice = (then: string): string =>
  `[ -e /kept/twice ] && { ${then}; }; [ -e /kept/once ] && touch /kept/twice; touch /kept/once; exit 3`
const often = { periodSeconds: 1, failureThreshold: 120 }

/** What is missing is given to them later: the ConfigMap `late`, and the answers of a registry that hangs. */
export const lives = (hangingRegistry: string): readonly Life[] => [
  {
    name: 'an-init-container-runs',
    spec: { initContainers: [script('first', aWhile)], containers: [script('main', forever)] },
    reached: ({ witnessed }) => runs(witnessed, 'first'),
    becomes: 'ready',
    ran: ['first#0 exit 0', 'main#0 running'],
  },
  {
    name: 'an-init-container-backs-off',
    spec: {
      restartPolicy: 'Always',
      initContainers: [script('first', failsTwice('exit 0'))],
      containers: [script('main', forever)],
    },
    reached: (now) => waits(now, 'first'),
    brief: true,
    becomes: 'ready',
    ran: ['first#0 exit 3', 'first#1 exit 3', 'first#2 exit 0', 'main#0 running'],
  },
  {
    name: 'a-sidecar-runs',
    spec: { initContainers: [sidecar(forever)], containers: [script('main', aWhile)] },
    reached: ({ witnessed }) => runs(witnessed, 'main'),
    becomes: 'Succeeded',
    ran: ['main#0 exit 0', 'sidecar#0 exit 0'],
  },
  {
    name: 'a-sidecar-starts-up',
    spec: {
      initContainers: [
        { ...sidecar(`${aWhile}; touch /kept/up; ${forever}`), startupProbe: { ...often, ...finds('up') } },
      ],
      containers: [script('main', forever)],
    },
    reached: ({ witnessed }) => runs(witnessed, 'sidecar'),
    becomes: 'ready',
    ran: ['main#0 running', 'sidecar#0 running'],
  },
  {
    name: 'a-sidecar-backs-off',
    spec: { initContainers: [sidecar(failsTwice(forever))], containers: [script('main', forever)] },
    reached: (now) => waits(now, 'sidecar'),
    brief: true,
    becomes: 'ready',
    ran: ['main#0 running', 'sidecar#0 exit 3', 'sidecar#1 exit 3', 'sidecar#2 running'],
  },
  {
    name: 'a-sidecar-ends-last',
    spec: {
      initContainers: [sidecar(`trap "${aWhile}; exit 0" TERM; while true; do sleep 0.1; done`)],
      containers: [script('main', forever)],
    },
    begin: 'delete',
    reached: ({ witnessed }) => !runs(witnessed, 'main') && runs(witnessed, 'sidecar'),
    becomes: 'gone',
    ran: ['main#0 exit 0', 'sidecar#0 exit 0'],
  },
  {
    name: 'a-post-start-hook-runs',
    spec: {
      containers: [
        {
          ...script('main', forever),
          lifecycle: { postStart: { exec: { command: ['sh', '-c', aWhile] } } },
        },
      ],
    },
    reached: ({ witnessed }) => runs(witnessed, 'main'),
    becomes: 'ready',
    ran: ['main#0 running'],
  },
  {
    name: 'a-container-is-not-ready-yet',
    spec: {
      containers: [
        {
          ...script('main', `${aWhile}; touch /kept/ready; ${forever}`),
          readinessProbe: { ...often, ...finds('ready') },
        },
      ],
    },
    reached: ({ witnessed }) => runs(witnessed, 'main'),
    becomes: 'ready',
    ran: ['main#0 running'],
  },
  {
    name: 'a-container-is-ready',
    spec: {
      containers: [
        {
          ...script('main', `touch /kept/ready; ${forever}`),
          readinessProbe: { ...often, ...finds('ready') },
        },
      ],
    },
    reached: ({ pod }) => isReady(pod),
    becomes: 'ready',
    ran: ['main#0 running'],
  },
  {
    name: 'a-liveness-probe-ends-a-container',
    spec: {
      restartPolicy: 'Always',
      containers: [
        {
          ...script(
            'main',
            `[ -e /kept/been ] && { rm -f /kept/sick; ${forever}; }
            trap "echo asked; touch /kept/been; ${aWhile}; exit 0" TERM
            touch /kept/sick; while true; do sleep 0.1; done`,
          ),
          livenessProbe: {
            exec: { command: ['test', '!', '-e', '/kept/sick'] },
            periodSeconds: 1,
            initialDelaySeconds: 2,
            failureThreshold: 1,
          },
        },
      ],
    },
    logged: 'asked',
    reached: ({ witnessed }) => runs(witnessed, 'main'),
    becomes: 'ready',
    ran: ['main#0 exit 0', 'main#1 running'],
  },
  {
    name: 'a-container-backs-off',
    spec: { restartPolicy: 'Always', containers: [script('main', failsTwice(forever))] },
    reached: (now) => waits(now, 'main'),
    brief: true,
    becomes: 'ready',
    ran: ['main#0 exit 3', 'main#1 exit 3', 'main#2 running'],
  },
  {
    name: 'a-pre-stop-hook-runs',
    spec: {
      containers: [
        {
          ...script('main', forever),
          lifecycle: { preStop: { exec: { command: ['sh', '-c', `echo hook > /proc/1/fd/1; ${aWhile}`] } } },
        },
      ],
    },
    begin: 'delete',
    logged: 'hook',
    reached: ({ witnessed }) => runs(witnessed, 'main'),
    becomes: 'gone',
    ran: ['main#0 exit 0'],
  },
  {
    name: 'a-container-has-its-grace',
    spec: {
      containers: [
        script('main', `trap "echo asked; ${aWhile}; exit 7" TERM; while true; do sleep 0.1; done`),
      ],
    },
    begin: 'delete',
    logged: 'asked',
    reached: ({ witnessed }) => runs(witnessed, 'main'),
    becomes: 'gone',
    ran: ['main#0 exit 7'],
  },
  {
    name: 'a-container-has-ended',
    spec: { containers: [script('main', 'exit 4')] },
    reached: ({ witnessed }) => witnessed.containers.some(({ state }) => state === 'CONTAINER_EXITED'),
    becomes: 'Failed',
    ran: ['main#0 exit 4'],
  },
  {
    name: 'an-ephemeral-container-runs',
    spec: { containers: [script('main', forever)] },
    begin: 'debug',
    reached: ({ witnessed }) => runs(witnessed, 'debugger'),
    becomes: 'ready',
    ran: ['debugger#0 running', 'main#0 running'],
  },
  {
    name: 'a-configmap-is-missing',
    spec: {
      containers: [{ ...script('main', forever), envFrom: [{ configMapRef: { name: 'late' } }] }],
    },
    reached: ({ pod }) => waitingReason(pod, 'main') === 'CreateContainerConfigError',
    becomes: 'ready',
    ran: ['main#0 running'],
  },
  {
    name: 'an-image-is-pulled',
    spec: {
      containers: [
        {
          ...script('main', forever),
          image: `${hangingRegistry}/library/busybox:1.37`,
          imagePullPolicy: 'Always',
        },
      ],
    },
    reached: ({ pod }) =>
      waitingReason(pod, 'main') === 'ContainerCreating' && pod?.status?.podIP !== undefined,
    becomes: 'ready',
    ran: ['main#0 running'],
  },
]

/** Nothing but what the life is about; Pods of one table fit on a node side by side. */
export function podOf({ name, spec }: Life, namespace: string): Pod {
  const grace = { terminationGracePeriodSeconds: 60 }
  return scriptPod({ namespace, name }, '', { ...outByHand, ...grace, volumes, ...spec })
}

/** In the words of `Life.ran`; containers that were made and never started do not count. */
export function ranOf({ containers }: WitnessedPod): string[] {
  return containers
    .filter(({ startedMs }) => startedMs !== undefined)
    .map(({ name, attempt, state, exitCode }) => {
      const end = state === 'CONTAINER_EXITED' ? `exit ${exitCode}` : 'running'
      return `${name}#${attempt} ${end}`
    })
    .sort()
}

function script(name: string, text: string): Container {
  const resources = { requests: { cpu: '10m', memory: '16Mi' } }
  return { name, image: 'docker.io/library/busybox:1.37', command: ['sh', '-c', text], resources, ...kept }
}

function sidecar(text: string): Container {
  return { ...script('sidecar', text), restartPolicy: 'Always' }
}

function finds(file: string) {
  return { exec: { command: ['test', '-e', `/kept/${file}`] } }
}

function runs({ containers }: WitnessedPod, wanted: string): boolean {
  return containers.some(({ name, state }) => name === wanted && state === 'CONTAINER_RUNNING')
}

function waits({ pod }: Now, container: string): boolean {
  return waitingReason(pod, container) === 'CrashLoopBackOff'
}

function waitingReason(pod: Pod | undefined, container: string): string | undefined {
  const { initContainerStatuses = [], containerStatuses = [] } = pod?.status ?? {}
  const status = [...initContainerStatuses, ...containerStatuses].find(({ name }) => name === container)
  return status?.state?.waiting?.reason
}
