/** A controller that enforces NetworkPolicies on the machine of the virtual nodes, beside rules of ours. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Resource } from '../../src/kube/api.ts'
import { pods } from '../../src/kube/resources.ts'
import type { KubeObject, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { startKubeRouter } from '../support/kube-router.ts'
import { startSharedCluster } from '../support/shared-cluster.ts'
import { isReady, isVirtual, story } from '../support/story.ts'
import { onServer, outByHand } from '../support/story-manifests.ts'

const namespace = 'story-network-policy'
const told = story(namespace, async () => await startSharedCluster({ name: `policy-${process.pid}` }))
const networkPolicies: Resource<KubeObject> = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  namespaced: true,
}
const guarded = ['guarded', 'guarded-sealed'] as const

beforeAll(async () => {
  const { api, signal, until } = told.current
  await startKubeRouter(told.current)
  const everybody = [
    webPod('guarded', outByHand, 'guarded'),
    webPod('guarded-sealed', { ...outByHand, runtimeClassName: 'gvisor' }, 'guarded'),
    webPod('friend', outByHand, 'friend'),
    webPod('stranger', outByHand, 'stranger'),
    webPod('server-friend', onServer, 'friend'),
    webPod('server-stranger', onServer, 'stranger'),
  ]
  for (const pod of everybody) await api.create(pods, pod, signal)
  await until('all are ready', () => told.current.pods().filter(isReady).length === everybody.length, 120_000)
  expect(told.current.pods().filter(isVirtual)).toHaveLength(4)
})

test('without a policy everybody reaches everybody', async () => {
  for (const to of guarded) {
    for (const from of ['friend', 'stranger', 'server-friend', 'server-stranger']) {
      expect(await reaches(from, to)).toBe(true)
    }
  }
})

describe('a policy that lets only friends in', () => {
  beforeAll(async () => {
    const from = [{ podSelector: { matchLabels: { app: 'friend' } } }]
    await apply('friends-only', { policyTypes: ['Ingress'], ingress: [{ from }] })
    await told.current.until('it holds', async () => !(await reaches('server-stranger', 'guarded')), 120_000)
  })

  test.each(guarded)('holds for %s on a virtual node, whoever asks from wherever', async (to) => {
    for (const from of ['friend', 'server-friend']) expect(await reaches(from, to)).toBe(true)
    for (const from of ['stranger', 'server-stranger']) expect(await reaches(from, to)).toBe(false)
  })
})

describe('a policy that lets them out to friends alone', () => {
  beforeAll(async () => {
    const to = [{ podSelector: { matchLabels: { app: 'friend' } } }]
    await apply('to-friends-only', { policyTypes: ['Egress'], egress: [{ to }] })
    await told.current.until('it holds', async () => !(await reaches('guarded', 'server-stranger')), 120_000)
  })

  test.each(guarded)('holds for %s on a virtual node', async (from) => {
    for (const to of ['friend', 'server-friend']) expect(await reaches(from, to)).toBe(true)
    for (const to of ['stranger', 'server-stranger']) expect(await reaches(from, to)).toBe(false)
  })
})

async function apply(name: string, rules: object): Promise<void> {
  const { api, signal } = told.current
  const spec = { podSelector: { matchLabels: { app: 'guarded' } }, ...rules }
  await api.create(networkPolicies, { metadata: { namespace, name }, spec } as KubeObject, signal)
}

async function reaches(from: string, to: string): Promise<boolean> {
  const { kubectl, pod } = told.current
  const address = `${pod(to)?.status?.podIP}:8080`
  return (await kubectl('exec', from, '--', '/agnhost', 'connect', address, '--timeout=2s')).code === 0
}

function webPod(name: string, placement: Partial<PodSpec>, app: string): Pod {
  const image = 'registry.k8s.io/e2e-test-images/agnhost:2.66.1'
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { app } },
    spec: {
      ...placement,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'web', image, args: ['netexec', '--http-port=8080'] }],
    },
  }
}
