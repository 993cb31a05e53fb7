/**
 * What the admission policy of deploy/admission/placement.yaml, or the webhook in its place, makes of other products'
 * words on a real API server, and what the function says that the controller and explain go by: the policy has the same
 * rules written anew, and the webhook is asked by conditions made of them.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { pods } from '../../src/kube/resources.ts'
import type { Namespace, Pod } from '../../src/model/kubernetes.ts'
import { foreignWords } from '../../src/model/foreign-keys.ts'
import { withPlacement } from '../../src/scheduling/placement.ts'
import { servedMeans, startAdmission, whenAdmissionInForce } from '../support/admission.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { testClient, type TestClient } from '../support/small-cluster.ts'

const seed = 20261129
const count = 250
const namespaces: readonly Namespace[] = [
  { metadata: { name: 'silent', labels: {} } },
  { metadata: { name: 'of-eci', labels: { 'alibabacloud.com/eci': 'true' } } },
  { metadata: { name: 'not-of-eci', labels: { 'alibabacloud.com/eci': 'no' } } },
  // Only ECI reads a namespace's label.
  { metadata: { name: 'of-cci', labels: { 'virtual-kubelet.io/burst-to-cci': 'enforce' } } },
  { metadata: { name: 'out', labels: { 'spillway.dev/placement': 'virtual' } } },
  {
    metadata: { name: 'off', labels: { 'spillway.dev/placement': 'auto', 'alibabacloud.com/eci': 'true' } },
  },
]

/** Every word that says where a Pod is to be, with every value that it may have and some that it may not. */
const words = foreignWords.flatMap(({ at, keys, meaning }) =>
  meaning.kind === 'placement'
    ? keys.flatMap((key) => [...Object.keys(meaning.values), '', 'no'].map((value) => ({ at, key, value })))
    : [],
)
type Word = (typeof words)[number]

const never = new AbortController().signal

describe.each(servedMeans)('by the %s', (means) => {
  const ending = new AbortController()
  const { signal } = ending
  let plane: TestControlPlane
  let api: TestClient

  beforeAll(async () => {
    plane = await startTestControlPlane()
    api = testClient(explicitCredentials(plane.controlPlane.admin), 'journey')
    await startAdmission(means, { plane, admin: api }, signal)
    for (const { metadata } of namespaces) {
      await createNamespace(api, { name: metadata?.name ?? '', labels: metadata?.labels ?? {} }, signal)
    }
    await whenAdmissionInForce(api, signal)
  })

  afterAll(async () => {
    ending.abort()
    await api?.close()
    await plane?.[Symbol.asyncDispose]()
  })

  test(
    'each word is understood alike, alone and beside one that sends out',
    { timeout: 120_000 },
    async () => {
      expect(words.length).toBeGreaterThan(30)
      const virtual = { at: 'annotation', key: 'vke.volcengine.com/burst-to-vci', value: 'enforce' } as const
      const sent = await compare(
        api,
        words.flatMap((word) => [
          podOf(say([word])),
          // Here what says nothing differs from what says auto,
          podOf({ ...say([word]), namespace: 'of-eci' }),
          // and here what says auto from what says server.
          podOf(say([virtual, word])),
        ]),
      )
      // Both answers were there to be had.
      expect(new Set(sent)).toEqual(new Set([true, false]))
    },
  )

  test(
    `any words together, in any namespace, ${count} times, seed ${seed}`,
    { timeout: 170_000 },
    async () => {
      const wish = fc.record({
        namespace: fc.constantFrom(...namespaces.map(({ metadata }) => metadata?.name ?? '')),
        words: fc.array(fc.constantFrom(...words), { maxLength: 3 }),
        own: fc.constantFrom(undefined, undefined, undefined, 'auto', 'virtual', 'server', 'nonsense', ''),
      })
      const all = fc.sample(wish, { seed, numRuns: count }).map(({ namespace, words: said, own }) => {
        const { labels, annotations } = say(said)
        return podOf({
          namespace,
          annotations,
          labels: { ...labels, ...(own !== undefined && { 'spillway.dev/placement': own }) },
        })
      })
      const sent = await compare(api, all)
      const share = sent.filter(Boolean).length / sent.length
      expect(share).toBeGreaterThan(0.1)
      expect(share).toBeLessThan(0.9)
    },
  )
})

/** Whether each was sent out; the API server and the function agree, or the Pods about which they do not are shown. */
async function compare(api: TestClient, all: readonly Pod[]): Promise<readonly boolean[]> {
  const answers = []
  for (let at = 0; at < all.length; at += 20) {
    answers.push(
      ...(await Promise.all(
        all
          .slice(at, at + 20)
          .map(async (pod) => ({ pod, byPolicy: isSent(await api.create(pods, pod, never)) })),
      )),
    )
  }
  const differences = answers.flatMap(({ pod, byPolicy }) => {
    const home = namespaces.find(({ metadata }) => metadata?.name === pod.metadata?.namespace)
    const byFunction = isSent(withPlacement(pod, home))
    return byPolicy === byFunction ? [] : [{ said: pod.metadata, byPolicy, byFunction }]
  })
  expect(differences).toEqual([])
  return answers.map(({ byPolicy }) => byPolicy)
}

function say(said: readonly Word[]): {
  labels: Record<string, string>
  annotations: Record<string, string>
} {
  const at = (place: Word['at']): Record<string, string> =>
    Object.fromEntries(
      said.filter((word) => word.at === place).map(({ key, value }) => [key, wordFor(value)]),
    )
  return { labels: at('label'), annotations: at('annotation') }
}

/** Any value does where the table has `*`. */
function wordFor(value: string): string {
  return value === '*' ? 'any' : value
}

function podOf({
  namespace = 'silent',
  labels = {},
  annotations = {},
}: {
  namespace?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
}): Pod {
  return {
    metadata: { namespace, generateName: 'told-', labels, annotations },
    spec: { containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10.2' }] },
  }
}

function isSent({ spec }: Pod): boolean {
  return spec?.nodeSelector?.['type'] === 'virtual-kubelet'
}
