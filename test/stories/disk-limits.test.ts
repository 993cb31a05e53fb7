/** Pods that keep more on disk than they may, on a virtual node beside the real kubelet. */
import { expect, test } from 'vitest'
import { events, pods } from '../../src/kube/resources.ts'
import type { PodSpec } from '../../src/model/kubernetes.ts'
import { isReady, story } from '../support/story.ts'
import { onServer, outByHand, scriptPod } from '../support/story-manifests.ts'

const told = story('story-disk-limits')

// Not one that ends well when it is asked to: the real kubelet then says `Succeeded` of what it evicted.
const forever = 'while true; do sleep 0.1; done'
const write = (file: string, mebibytes: number): string =>
  `dd if=/dev/zero of=${file} bs=1M count=${mebibytes} 2>/dev/null`
const volumes = [{ name: 'cache', emptyDir: { sizeLimit: '2Mi' } }]
const volumeMounts = [{ name: 'cache', mountPath: '/cache' }]

const cases: readonly (readonly [string, Partial<PodSpec>, string])[] = [
  [
    'an-empty-dir',
    {
      volumes,
      containers: [{ ...container('main', `${write('/cache/file', 8)}; ${forever}`), volumeMounts }],
    },
    'Usage of EmptyDir volume "cache" exceeds the limit "2Mi". ',
  ],
  [
    'a-writable-layer',
    {
      containers: [
        container('main', `${write('/file', 8)}; ${forever}`, '4Mi'),
        container('other', forever, '1Gi'),
      ],
    },
    'Container main exceeded its local ephemeral storage limit "4Mi". ',
  ],
  [
    'all-together',
    {
      volumes: [{ name: 'cache', emptyDir: {} }],
      containers: [
        { ...container('main', `${write('/cache/file', 12)}; ${forever}`, '4Mi'), volumeMounts },
        container('other', forever, '4Mi'),
      ],
    },
    'Pod ephemeral local storage usage exceeds the total limit of containers 8Mi. ',
  ],
]

test('are evicted in kubelet’s words, and their neighbours are not', { timeout: 400_000 }, async () => {
  const { api, namespace, signal, until } = told.current
  const names = cases.map(([name]) => name)
  const create = async (name: string, spec: Partial<PodSpec>): Promise<void> =>
    void (await api.create(pods, scriptPod({ namespace, name }, '', spec), signal))
  await create('neighbour', {
    ...outByHand,
    volumes,
    containers: [{ ...container('main', `${write('/cache/file', 1)}; ${forever}`, '8Mi'), volumeMounts }],
  })
  await Promise.all(
    cases.flatMap(([name, spec]) => [
      create(name, { ...spec, ...outByHand }),
      create(`${name}-on-server`, { ...spec, ...onServer }),
    ]),
  )
  for (const name of names.flatMap((one) => [one, `${one}-on-server`])) {
    await until(`${name} has failed`, () => told.current.pod(name)?.status?.phase === 'Failed', 150_000)
  }
  for (const [name, , message] of cases) {
    expect({ name, ...(await storyOf(name)) }).toEqual({ name, ...(await storyOf(`${name}-on-server`)) })
    expect(await storyOf(name)).toMatchObject({ reason: 'Evicted', message })
  }
  expect(isReady(told.current.pod('neighbour'))).toBe(true)
})

async function storyOf(name: string): Promise<object> {
  const { api, namespace, pod, signal } = told.current
  const { items } = await api.list(
    events,
    { namespace, fieldSelector: `involvedObject.name=${name}` },
    signal,
  )
  const evicted = items.filter(({ reason }) => reason === 'Evicted')
  const { phase, reason, message, conditions = [] } = pod(name)?.status ?? {}
  return {
    phase,
    reason,
    message,
    conditions: conditions.map(({ type, status }) => `${type} ${status}`).toSorted(),
    events: evicted.map((event) => `${event.type} ${event.message}`),
  }
}

function container(name: string, text: string, limit?: string) {
  const requests = { cpu: '10m', memory: '16Mi' }
  const resources = limit === undefined ? { requests } : { requests, limits: { 'ephemeral-storage': limit } }
  return { name, image: 'docker.io/library/busybox:1.37', command: ['sh', '-c', text], resources }
}
