/** DaemonSets on a real API server: by the policy of deploy/admission/daemonsets.yaml, and by the webhook. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Resource } from '../../src/kube/api.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import type { KubeObject, PodSpec } from '../../src/model/kubernetes.ts'
import { servedMeans, startAdmission } from '../support/admission.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { until } from '../support/until.ts'
import { testClient, type TestClient } from '../support/small-cluster.ts'

interface DaemonSet extends KubeObject {
  readonly spec: {
    readonly selector: object
    readonly template: { readonly metadata: object; readonly spec: PodSpec }
  }
}
const daemonSets: Resource<DaemonSet> = {
  group: 'apps',
  version: 'v1',
  plural: 'daemonsets',
  kind: 'DaemonSet',
  namespaced: true,
}

const namespace = 'default'
const never = new AbortController().signal
let plane: TestControlPlane
let api: TestClient

const everything = [{ operator: 'Exists' }]
const keptOff = { key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] }
const ssd = { key: 'disk', operator: 'In', values: ['ssd'] }

describe.each(servedMeans)('by the %s', (means) => {
  let ending: AbortController

  beforeAll(async () => {
    ending = new AbortController()
    const { signal } = ending
    plane = await startTestControlPlane()
    api = testClient(explicitCredentials(plane.controlPlane.admin), 'journey')
    await startAdmission(means, { plane, admin: api }, signal)
    // The API server learns of it by a watch.
    const isKeptOff = async () => termsOf(await create({ tolerations: everything })) !== undefined
    await until('it is in force', isKeptOff, signal)
  })

  afterAll(async () => {
    ending.abort()
    await api?.close()
    await plane?.[Symbol.asyncDispose]()
  })

  describe('a DaemonSet that tolerates everything', () => {
    test('is kept off virtual nodes', async () => {
      expect(termsOf(await create({ tolerations: everything }))).toEqual([{ matchExpressions: [keptOff] }])
      const ours = [{ key: 'spillway.dev/virtual-node', operator: 'Exists' }]
      expect(termsOf(await create({ tolerations: ours }))).toEqual([{ matchExpressions: [keptOff] }])
    })

    test('by each of the terms that it has, of which it loses nothing', async () => {
      const matchFields = [{ key: 'metadata.name', operator: 'In', values: ['server-0'] }]
      const made = await create({
        tolerations: everything,
        affinity: affinityOf([{ matchExpressions: [ssd] }, { matchFields }]),
      })
      expect(termsOf(made)).toEqual([
        { matchExpressions: [ssd, keptOff] },
        { matchExpressions: [keptOff], matchFields },
      ])
      const preferred = [{ weight: 1, preference: { matchExpressions: [ssd] } }]
      const wishes = { preferredDuringSchedulingIgnoredDuringExecution: preferred }
      const { spec } = await create({ tolerations: everything, affinity: { nodeAffinity: wishes } })
      expect(spec.template.spec.affinity?.nodeAffinity).toEqual({
        ...wishes,
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [keptOff] }],
        },
      })
    })

    test('stays as it is from then on, and is kept off again when somebody takes that away', async () => {
      const made = await create({ tolerations: everything })
      const name = made.metadata?.name ?? ''
      const label = { type: 'merge', body: { metadata: { labels: { seen: 'yes' } } } } as const
      expect(termsOf(await api.patch(daemonSets, { namespace, name }, label, never))).toEqual(termsOf(made))
      const body = { spec: { template: { spec: { affinity: null } } } }
      const patched = await api.patch(daemonSets, { namespace, name }, { type: 'merge', body }, never)
      expect(termsOf(patched)).toEqual(termsOf(made))
    })
  })

  test('any other DaemonSet is left as it is: the taint keeps it off', async () => {
    for (const tolerations of [[], [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' }]]) {
      expect(termsOf(await create({ tolerations }))).toBeUndefined()
    }
    const evictable = [{ operator: 'Exists', effect: 'NoExecute' }]
    expect(termsOf(await create({ tolerations: evictable }))).toBeUndefined()
  })
})

function affinityOf(nodeSelectorTerms: object[]): NonNullable<PodSpec['affinity']> {
  return {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
  }
}

function termsOf({ spec }: DaemonSet): unknown {
  return spec.template.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
    ?.nodeSelectorTerms
}

async function create(spec: Partial<PodSpec>): Promise<DaemonSet> {
  const labels = { app: 'agent' }
  const containers = [{ name: 'agent', image: 'registry.k8s.io/pause:3.10.2' }]
  const set = {
    metadata: { namespace, generateName: 'agent-' },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers, ...spec } },
    },
  }
  return await api.create(daemonSets, set, never)
}
