/** The label spillway.dev/placement on a real API server: by the policy of deploy/admission/placement.yaml, and by the webhook. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pods } from '../../src/kube/resources.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { servedMeans, startAdmission } from '../support/admission.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { until } from '../support/until.ts'
import { testClient, type TestClient } from '../support/small-cluster.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'

const namespace = 'plain'
const never = new AbortController().signal
let plane: TestControlPlane
let api: TestClient

const toleration = { key: 'spillway.dev/virtual-node', operator: 'Exists', effect: 'NoSchedule' }

describe.each(servedMeans)('by the %s', (means) => {
  let ending: AbortController

  beforeAll(async () => {
    ending = new AbortController()
    const { signal } = ending
    plane = await startTestControlPlane()
    api = testClient(explicitCredentials(plane.controlPlane.admin), 'journey')
    await startAdmission(means, { plane, admin: api }, signal)
    for (const [name, labels] of [
      [namespace, {}],
      ['out', { 'spillway.dev/placement': 'virtual' }],
    ] as const) {
      await createNamespace(api, { name, labels }, signal)
    }
    // The API server learns of it by a watch.
    await until(
      'it is in force',
      async () =>
        isSent(await create(podOf({ placement: 'virtual' }))) && isSent(await create(podOf({ at: 'out' }))),
      signal,
    )
  })

  afterAll(async () => {
    ending.abort()
    await api?.close()
    await plane?.[Symbol.asyncDispose]()
  })

  describe('with placement virtual', () => {
    test('a Pod is sent to a virtual node without its author knowing taints', async () => {
      const { spec } = await create(podOf({ placement: 'virtual' }))
      expect(spec?.nodeSelector).toEqual({ type: 'virtual-kubelet' })
      expect(spec?.tolerations).toContainEqual(toleration)
    })

    test('what it says itself stays', async () => {
      const own = { key: 'own', operator: 'Exists' }
      const byHand = {
        key: 'spillway.dev/virtual-node',
        operator: 'Equal',
        value: 'burst',
        effect: 'NoSchedule',
      }
      const nodeSelector = { 'spillway.dev/pool': 'burst' }
      const { spec } = await create(
        podOf({ placement: 'virtual', spec: { tolerations: [own, byHand], nodeSelector } }),
      )
      expect(spec?.nodeSelector).toEqual({ ...nodeSelector, type: 'virtual-kubelet' })
      expect(spec?.tolerations?.filter(({ key }) => !key?.startsWith('node.kubernetes.io/'))).toEqual([
        own,
        byHand,
      ])
    })

    test('the namespace’s counts where the Pod has none, and the Pod’s outranks it', async () => {
      expect(isSent(await create(podOf({ at: 'out' })))).toBe(true)
      expect(isSent(await create(podOf({ at: 'out', placement: 'server' })))).toBe(false)
      expect(isSent(await create(podOf({ at: 'out', placement: 'auto' })))).toBe(false)
    })

    test('a Pod that names its node, and a DaemonSet’s, are left as they are', async () => {
      expect(isSent(await create(podOf({ placement: 'virtual', spec: { nodeName: 'server-0' } })))).toBe(
        false,
      )
      expect(isSent(await create(podOf({ placement: 'virtual', owner: 'DaemonSet' })))).toBe(false)
      expect(isSent(await create(podOf({ placement: 'virtual', owner: 'ReplicaSet' })))).toBe(true)
    })

    test('nothing of kube-system goes', async () => {
      expect(isSent(await create(podOf({ at: 'kube-system', placement: 'virtual' })))).toBe(false)
    })
  })

  test('any other Pod is left as it is', async () => {
    for (const placement of [undefined, 'auto', 'server', 'nonsense']) {
      const { spec } = await create(podOf({ placement }))
      expect({ placement, selector: spec?.nodeSelector }).toEqual({ placement, selector: undefined })
      expect(spec?.tolerations).not.toContainEqual(toleration)
    }
  })
})

interface Wish {
  readonly at?: string
  readonly placement?: string | undefined
  readonly owner?: string
  readonly spec?: Partial<PodSpec>
}

function podOf({ at = namespace, placement, owner, spec }: Wish): Pod {
  const labels = placement === undefined ? {} : { 'spillway.dev/placement': placement }
  const reference = { apiVersion: 'apps/v1', kind: owner ?? '', name: 'it', uid: 'u', controller: true }
  return {
    metadata: {
      namespace: at,
      generateName: 'pod-',
      labels,
      ...(owner !== undefined && { ownerReferences: [reference] }),
    },
    spec: { containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10.2' }], ...spec },
  }
}

async function create(pod: Pod): Promise<Pod> {
  return await api.create(pods, pod, never)
}

function isSent({ spec }: Pod): boolean {
  return spec?.nodeSelector?.['type'] === 'virtual-kubelet'
}
