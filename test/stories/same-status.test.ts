/** What a Pod's status says on a virtual node, word for word beside what the real kubelet of the same cluster says. */
import { afterEach, expect, test } from 'vitest'
import { pods } from '../../src/kube/resources.ts'
import type { Container, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { comparableStatus } from '../support/comparable-status.ts'
import { storyHandler } from '../support/shared-cluster.ts'
import { isReady, story } from '../support/story.ts'
import { onServer, outByHand, scriptPod } from '../support/story-manifests.ts'

const told = story('story-same-status')

const forever = 'trap "exit 0" TERM; while true; do sleep 0.1; done'
const often = { periodSeconds: 1, failureThreshold: 60 }

const cases: readonly (readonly [string, Partial<PodSpec>, (pod: Pod | undefined) => boolean])[] = [
  ['plain', { containers: [script('main', forever)] }, isReady],
  ['succeeds', { containers: [script('main', 'exit 0')] }, isPhase('Succeeded')],
  [
    'fails',
    { containers: [script('main', 'echo last words > /dev/termination-log; exit 3')] },
    isPhase('Failed'),
  ],
  ['is-killed', { activeDeadlineSeconds: 2, containers: [script('main', forever)] }, isPhase('Failed')],
  [
    'sized',
    {
      containers: [
        {
          ...script('main', forever),
          resources: { requests: { cpu: '20m', memory: '16Mi' }, limits: { cpu: '0.1', memory: '32Mi' } },
        },
      ],
    },
    isReady,
  ],
  [
    'sized-as-a-whole',
    {
      resources: { requests: { cpu: '50m', memory: '32Mi' }, limits: { cpu: '100m', memory: '64Mi' } },
      containers: [script('main', forever), script('other', forever)],
    },
    isReady,
  ],
  [
    'with-init-and-sidecar',
    {
      initContainers: [
        script('first', 'exit 0'),
        { ...script('sidecar', forever), restartPolicy: 'Always' },
        script('second', 'exit 0'),
      ],
      containers: [
        { ...script('main', forever), readinessProbe: { ...often, exec: { command: ['true'] } } },
        { ...script('other', forever), startupProbe: { ...often, exec: { command: ['true'] } } },
      ],
    },
    isReady,
  ],
  [
    'with-an-init-container-that-fails',
    { initContainers: [script('first', 'exit 5')], containers: [script('main', forever)] },
    isPhase('Failed'),
  ],
  [
    'with-mounts',
    {
      automountServiceAccountToken: false,
      securityContext: { runAsUser: 1000, runAsGroup: 1001, fsGroup: 1002, supplementalGroups: [1003] },
      volumes: [{ name: 'files', emptyDir: {} }],
      containers: [
        {
          ...script('main', forever),
          volumeMounts: [
            { name: 'files', mountPath: '/written' },
            { name: 'files', mountPath: '/read', readOnly: true },
            // In gVisor the first is refused beforehand, and the second lets do without.
            ...(storyHandler === 'runc'
              ? [
                  { name: 'files', mountPath: '/deep', readOnly: true, recursiveReadOnly: 'Enabled' },
                  { name: 'files', mountPath: '/perhaps', readOnly: true, recursiveReadOnly: 'IfPossible' },
                ]
              : []),
          ],
        },
      ],
    },
    isReady,
  ],
]

test.each(cases)('%s', async (name, spec, there) => {
  const { api, namespace, signal, until } = told.current
  const names = { virtual: name, server: `${name}-on-server` }
  const create = async (podName: string, place: Partial<PodSpec>): Promise<void> => {
    await api.create(pods, scriptPod({ namespace, name: podName }, '', { ...spec, ...place }), signal)
  }
  await Promise.all([create(names.virtual, outByHand), create(names.server, onServer)])
  const statuses = (): readonly unknown[] =>
    [names.virtual, names.server].map((podName) => comparableStatus(told.current.pod(podName)))
  for (const podName of [names.virtual, names.server]) {
    await until(`${podName} is there`, () => there(told.current.pod(podName)))
  }
  // The last of kubelet's writes may follow the one that was waited for.
  const same = (): boolean => {
    const [one, other] = statuses()
    return JSON.stringify(one) === JSON.stringify(other)
  }
  await until('both say the same', same, 10_000).catch(() => undefined)
  const [virtual, server] = statuses()
  expect(virtual).toEqual(server)
})

afterEach(async () => {
  const { api, namespace, signal, until } = told.current
  for (const { metadata } of told.current.pods()) {
    await api.delete(pods, { namespace, name: metadata?.name ?? '' }, { graceSeconds: 0 }, signal)
  }
  await until('no Pod is left', () => told.current.pods().length === 0)
})

function isPhase(phase: string) {
  return (pod: Pod | undefined): boolean => pod?.status?.phase === phase
}

function script(name: string, text: string): Container {
  const resources = { requests: { cpu: '10m', memory: '16Mi' } }
  return { name, image: 'docker.io/library/busybox:1.37', command: ['sh', '-c', text], resources }
}
