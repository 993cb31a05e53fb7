/** Spillway's admission webhook on a real API server: what it does when Spillway is there, and when it is not; and that it does what the policies do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { runApp } from '../../src/app.ts'
import { askAdmin } from '../../src/cli/admin-client.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { CheckView } from '../../src/console/api/contract.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import type { Resource } from '../../src/kube/api.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import {
  daemonSets,
  events,
  mutatingAdmissionPolicies,
  mutatingWebhookConfigurations,
  nodes,
  pods,
} from '../../src/kube/resources.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { KubeObject, Pod } from '../../src/model/kubernetes.ts'
import type { WebhookConfiguration } from '../../src/webhook/webhook-configuration.ts'
import {
  applyAdmissionWebhook,
  servesPolicies,
  startAdmission,
  whenAdmissionInForce,
  whenAdmissionOver,
} from '../support/admission.ts'
import {
  daemonSetOfWish,
  daemonSetWish,
  podOfWish,
  podWish,
  type WrittenDaemonSet,
} from '../support/admission-samples.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { partOptions, startServer, testClient, type TestClient } from '../support/small-cluster.ts'
import { until } from '../support/until.ts'

const virtual = { 'spillway.dev/placement': 'virtual' }
const never = new AbortController().signal

describe('a Pod of placement virtual', () => {
  const namespace = 'default'
  const ending = new AbortController()
  let plane: TestControlPlane
  let api: TestClient
  let folder: string
  let app: { stop(): Promise<void> }

  beforeAll(async () => {
    plane = await startTestControlPlane({ virtualNodes: ['burst-0'] })
    api = testClient(explicitCredentials(plane.controlPlane.admin), 'journey')
    await applyAdmissionWebhook(api, never)
    await startServer(api, { name: 'server-0', cpu: '2', memory: '8Gi' }, ending.signal)
    folder = mkdtempSync(join(tmpdir(), 'sw-'))
    const [firstPort = 0, port] = await findFreePorts(2)
    const [certificates] = plane.controlPlane.spillway.nodes.values()
    const config = {
      clusterName: 'admitted',
      kubeconfig: plane.controlPlane.spillway.kubeconfig,
      state: folder,
      run: folder,
      nodeApi: { address: '127.0.0.1', firstPort, servingCertificate: 'self-signed' },
      nodeIdentity: { clientCertificate: certificates?.certFile, clientKey: certificates?.keyFile },
      admissionWebhook: { port },
      backends: [{ name: 'local', kind: 'simulator' }],
      pools: [{ name: 'burst', backend: 'local' }],
    }
    writeFileSync(join(folder, 'spillway.yaml'), stringify(config))
    app = start()
    await whenAdmissionInForce(api, never)
    await until('both nodes take Pods', bothNodesTakePods, never)
  })

  afterAll(async () => {
    ending.abort()
    await app?.stop()
    await api?.close()
    await plane?.[Symbol.asyncDispose]()
    if (folder) rmSync(folder, { recursive: true, force: true })
  })

  function start(): { stop(): Promise<void> } {
    const stopping = new AbortController()
    const config = loadConfig({ file: join(folder, 'spillway.yaml'), flags: {}, environment: {} })
    const running = runApp(config, { ...partOptions, environment: process.env }, stopping.signal)
    running.catch(() => undefined)
    return {
      stop: async () => {
        stopping.abort()
        await running
      },
    }
  }

  async function bothNodesTakePods(): Promise<boolean> {
    const { items } = await api.list(nodes, {}, never)
    const open = items.filter(
      ({ spec }) => !spec?.taints?.some(({ key }) => key.startsWith('node.kubernetes.io/')),
    )
    return open.length === 2
  }

  async function nodeOf(name: string): Promise<string> {
    let node: string | undefined
    const isBound = async (): Promise<boolean> => {
      node = (await api.get(pods, { namespace, name }, never)).spec?.nodeName
      return node !== undefined
    }
    await until(`${name} is bound`, isBound, never)
    return node ?? ''
  }

  async function create(name: string): Promise<Pod> {
    const containers = [{ name: 'main', image: 'registry.k8s.io/pause:3.10.2' }]
    return await api.create(
      pods,
      { metadata: { namespace, name, labels: virtual }, spec: { containers } },
      never,
    )
  }

  test('goes to a virtual node from the start, and check says by what', async () => {
    await create('sent')
    expect(await nodeOf('sent')).toBe('burst-0')
    const { admission, findings } = (await askAdmin(
      { target: join(folder, 'admin.sock') },
      '/v1/check',
      {},
      never,
    )) as CheckView
    expect(admission).toEqual({ placement: 'webhook', daemonSets: 'webhook' })
    // Of what people apply besides, only the webhook's configuration is there.
    expect(findings.map(({ level, finding }) => `${level}: ${finding}`)).toEqual([
      expect.stringContaining('note: pools stand in the configuration file only'),
      expect.stringContaining('note: a pool or virtual node is deleted although Pods run there'),
      expect.stringContaining('missed by its admission webhook'),
    ])
  })

  test('is made all the same while Spillway is down, and told to have been missed when it is back', async () => {
    const before = await configuration()
    await app.stop()
    const { spec } = await create('missed')
    expect(spec?.nodeSelector).toBeUndefined()
    expect(await nodeOf('missed')).toBe('server-0')
    app = start()
    await until(
      'an event tells of it',
      async () => {
        const { items } = await api.list(events, { namespace }, never)
        return items.some(
          ({ reason, involvedObject }) => reason === 'PlacementMissed' && involvedObject.name === 'missed',
        )
      },
      never,
    )
    await whenAdmissionInForce(api, never)
    await create('sent-again')
    expect(await nodeOf('sent-again')).toBe('burst-0')
    const { items } = await api.list(events, { namespace }, never)
    expect(
      new Set(
        items.filter(({ reason }) => reason === 'PlacementMissed').map((one) => one.involvedObject.name),
      ),
    ).toEqual(new Set(['missed']))
    // Nothing had to be written: the certificate is the one from before.
    expect(await configuration()).toEqual(before)
  })

  async function configuration(): Promise<WebhookConfiguration> {
    return await api.get<WebhookConfiguration>(mutatingWebhookConfigurations, { name: 'spillway.dev' }, never)
  }
})

const count = 80
const seed = 20_261_129

describe('the webhook and the policies', () => {
  // An API server without policies has nothing to compare with.
  test.runIf(servesPolicies)(
    `make the same of ${count} Pods and ${count} DaemonSets, seed ${seed} (Kubernetes 1.36 and newer)`,
    { timeout: 300_000 },
    async () => {
      await using plane = await startTestControlPlane()
      const admin = testClient(explicitCredentials(plane.controlPlane.admin), 'journey')
      const ending = new AbortController()
      try {
        for (const [name, placement] of [['plain'], ['out', 'virtual'], ['kept', 'server']] as const) {
          const labels = placement === undefined ? {} : { 'spillway.dev/placement': placement }
          await createNamespace(admin, { name, labels }, never)
        }
        await startAdmission('policy', { plane, admin }, never)
        await whenAdmissionInForce(admin, never)
        const byPolicy = await created(admin)
        for (const name of ['placement.spillway.dev', 'daemonsets.spillway.dev']) {
          for (const kind of [mutatingAdmissionPolicies, bindings])
            await admin.delete(kind, { name }, {}, never)
        }
        await whenAdmissionOver(admin, never)
        await startAdmission('webhook', { plane, admin }, ending.signal)
        await whenAdmissionInForce(admin, never)
        expect(await created(admin)).toEqual(byPolicy)
        // Neither of them was asleep.
        expect(JSON.stringify(byPolicy).match(/"type":"virtual-kubelet"/g)?.length).toBeGreaterThan(
          count / 10,
        )
        expect(JSON.stringify(byPolicy).match(/"operator":"NotIn"/g)?.length).toBeGreaterThan(count / 10)
      } finally {
        ending.abort()
        await admin.close()
      }
    },
  )
})

const bindings: Resource<KubeObject> = {
  ...mutatingAdmissionPolicies,
  plural: 'mutatingadmissionpolicybindings',
  kind: 'MutatingAdmissionPolicyBinding',
}

/** What is stored of the sample, which is gone again afterwards. */
async function created(admin: TestClient): Promise<readonly unknown[]> {
  const stored: unknown[] = []
  for (const [index, wish] of fc.sample(podWish, { seed, numRuns: count }).entries()) {
    const pod = podOfWish(wish, `pod-${index}`)
    const { namespace = '', name = '' } = pod.metadata ?? {}
    // No scheduler looks at what is compared; what names its node may not be gated.
    const gates = wish.nodeName === undefined ? { schedulingGates: [{ name: 'example.com/never' }] } : {}
    const made = await admin.create(pods, { ...pod, spec: { containers: [], ...pod.spec, ...gates } }, never)
    stored.push({ wish, spec: made.spec })
    await gone(admin.delete(pods, { namespace, name }, { graceSeconds: 0 }, never))
  }
  for (const [index, wish] of fc.sample(daemonSetWish, { seed, numRuns: count }).entries()) {
    const set = daemonSetOfWish(wish, `set-${index}`)
    const { namespace = '', name = '' } = set.metadata ?? {}
    const made = (await admin.create(daemonSets, set, never)) as WrittenDaemonSet
    stored.push({ wish, spec: made.spec })
    await admin.delete(daemonSets, { namespace, name }, { propagation: 'Background' }, never)
  }
  return stored
}

/** The garbage collector may have been first: owners and nodes of the sample are not there. */
async function gone(deleting: Promise<void>): Promise<void> {
  try {
    await deleting
  } catch (error) {
    if (!hasCode(error, 'NotFound')) throw error
  }
}
