/**
 * The controller's rights on a real API server that writes down what is asked of it: each that is granted is used, none
 * that is needed is missing, and one that is taken away stops nothing else.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { askAdmin } from '../../src/cli/admin-client.ts'
import { deployments, type Deployment } from '../../src/cli/demo/manifests.ts'
import type { CheckView } from '../../src/console/api/contract.ts'
import { clusterRoles } from '../../src/dev-cluster/spillway-identity.ts'
import { nodes, pods, virtualNodePools } from '../../src/kube/resources.ts'
import { controllerRights, nodeCertificateRights, type Right } from '../../src/model/controller-rights.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type { VirtualNodePool } from '../../src/model/virtual-node-pool.ts'
import { budget, budgets } from '../support/budgets.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { burstPolicies, clusterBurstPolicies } from '../../src/scheduling/burst/burst-policy-object.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { until } from '../support/until.ts'

const ending = new AbortController()
const { signal } = ending
const namespace = 'shop'
const account = 'system:serviceaccount:spillway-system:spillway'

/** Granted, and not to be seen in what is asked of the API server; with the reason. */
const unseen: Readonly<Record<string, string>> = {
  'get /pods': 'whether what runs on a backend and is in no list is really gone',
  'get /nodes': 'when a Node of that name is there although none was in the list',
  'patch /events': 'when the same happens again',
  'approve certificates.k8s.io/signers': 'admission asks for it when a request is approved',
  'patch admissionregistration.k8s.io/mutatingwebhookconfigurations':
    'only where there are no admission policies',
  'create authentication.k8s.io/tokenreviews':
    'only for who calls a node with a token, not with a certificate',
}

let folder: string
let journey: JourneyApp

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sw-audit-'))
  const policy = join(folder, 'policy.yaml')
  writeFileSync(
    policy,
    stringify({
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      // A watch is written down when it begins.
      omitStages: ['RequestReceived'],
      rules: [{ level: 'Metadata', users: [account] }, { level: 'None' }],
    }),
  )
  const audit = [`--audit-policy-file=${policy}`, `--audit-log-path=${join(folder, 'audit.log')}`]
  journey = await JourneyApp.start(
    {
      clusterName: 'rights',
      backends: [{ name: 'local', kind: 'simulator', options: { sandboxMs: 10, pullMs: 10, startMs: 10 } }],
      pools: [{ name: 'burst', backend: 'local', capacity: { cpu: 8, memory: '32Gi' } }],
      // With its watches, and without its right to make Pods: it is to stop nothing either.
      more: { moveBack: { enabled: true } },
      extraArguments: { 'kube-apiserver': audit },
    },
    signal,
  )
  await createNamespace(journey.api, { name: namespace }, signal)
})

afterAll(async () => {
  await journey?.[Symbol.asyncDispose]()
  ending.abort()
  rmSync(folder, { recursive: true, force: true })
})

test('each right is used by what Spillway does, and none is missing', { timeout: 170_000 }, async () => {
  await until('the pool is ready', async () => (await poolNow('burst'))?.status?.readyReplicas === 1, signal)
  // A policy of each kind is told what has become of it.
  await journey.api.create(
    burstPolicies,
    { metadata: { namespace: 'default', name: 'web' }, spec: {} },
    signal,
  )
  await journey.api.create(clusterBurstPolicies, { metadata: { name: 'all' }, spec: {} }, signal)
  await until(
    'both policies have a status',
    async () => {
      const own = await journey.api.get(burstPolicies, { namespace: 'default', name: 'web' }, signal)
      const all = await journey.api.get(clusterBurstPolicies, { name: 'all' }, signal)
      return own.status !== undefined && all.status !== undefined
    },
    signal,
  )
  // Overflow, deletion costs, events, and logs through the node's API.
  await journey.api.create(deployments, webOf(3), signal)
  await until('three Pods run', async () => (await webPods()).filter(isRunning).length === 3, signal)
  await until('they have their deletion cost', async () => (await webPods()).every(hasCost), signal)
  const [first] = await webPods()
  const log = `/api/v1/namespaces/${namespace}/pods/${first?.metadata?.name}/log`
  await until(
    'their logs are read',
    async () => (await journey.api.getText(log, signal).catch(() => undefined)) !== undefined,
    signal,
  )
  // A Pod with a volume that finds no place: only then does it matter where volumes are.
  await journey.api.create(pods, withClaim(), signal)
  await until(
    'volumes are followed',
    async () => audited().asked.has('watch storage.k8s.io/storageclasses'),
    signal,
  )
  await journey.api.delete(pods, { namespace, name: 'placed' }, {}, signal)
  // A pool that comes, and goes by force with Pods that a budget would have kept.
  const object = {
    apiVersion: 'spillway.dev/v1alpha1',
    kind: 'VirtualNodePool',
    metadata: { name: 'night', annotations: { 'spillway.dev/force-delete': 'true' } },
    spec: { backend: 'local', drainTimeoutSeconds: 5 },
  }
  await journey.api.create<VirtualNodePool>(virtualNodePools, object, signal)
  await until('it has its node', async () => (await poolNow('night'))?.status?.readyReplicas === 1, signal)
  await journey.api.create(budgets, budget({ namespace, name: 'sleeper' }, 1, 'sleeper'), signal)
  await journey.api.create(pods, sleeper(), signal)
  await until('a Pod runs there', async () => isRunning(await podNow('sleeper')), signal)
  await until(
    'the budget counts it',
    async () =>
      (await journey.api.get(budgets, { namespace, name: 'sleeper' }, signal)).status?.currentHealthy === 1,
    signal,
  )
  await journey.api.delete(virtualNodePools, { name: 'night' }, {}, signal)
  await until('it is gone', async () => (await poolNow('night')) === undefined, signal)
  await ask('/v1/check')
  await ask('/v1/explain', { namespace, name: first?.metadata?.name ?? '' })

  const seen = audited()
  expect(seen.denied).toEqual([])
  const granted = [...controllerRights, ...nodeCertificateRights].flatMap(wordsOf)
  expect(granted.filter((right) => !seen.asked.has(right) && !(right in unseen))).toEqual([])
})

test(
  'a right that is taken away is told by check, and stops nothing else',
  { timeout: 170_000 },
  async () => {
    const rights = [...controllerRights, ...nodeCertificateRights]
    for (const [index, right] of rights.entries()) {
      await grant(rights.filter((_, at) => at !== index))
      await until(
        `check tells of ${wordsOf(right).join()}`,
        async () => index >= controllerRights.length || isMissing(await ask('/v1/check'), right),
        signal,
      )
      expect(await journey.runs()).toBe(true)
    }
    await grant([])
    await journey.api.create(pods, { ...sleeper(), metadata: { namespace, name: 'patient' } }, signal)
    await until(
      'nothing is allowed any more',
      async () => isMissing(await ask('/v1/check'), controllerRights[0]),
      signal,
    )
    expect(await journey.runs()).toBe(true)
    await grant(rights)
    const { items } = await journey.api.list(nodes, {}, signal)
    expect(items.map(({ metadata }) => metadata?.name)).toEqual(['burst-0'])
    await journey.api.patch(
      deployments,
      { namespace, name: 'web' },
      { type: 'merge', body: { spec: { replicas: 5 } } },
      signal,
    )
    await until('all goes on', async () => (await webPods()).filter(isRunning).length === 5, signal)
  },
)

// ---- what is asked ----

function ask(path: string, body?: object): Promise<unknown> {
  return askAdmin({ target: join(journey.folder, 'admin.sock') }, path, body ? { body } : {}, signal)
}

function audited(): { readonly asked: ReadonlySet<string>; readonly denied: readonly string[] } {
  const asked = new Set<string>()
  const denied: string[] = []
  for (const line of readFileSync(join(folder, 'audit.log'), 'utf8').split('\n').filter(Boolean)) {
    const { verb, objectRef, responseStatus } = JSON.parse(line) as {
      verb: string
      objectRef?: { apiGroup?: string; resource: string; subresource?: string }
      responseStatus?: { code?: number }
    }
    if (!objectRef) continue
    const { apiGroup = '', resource, subresource } = objectRef
    const words = `${verb} ${apiGroup}/${resource}${subresource ? `/${subresource}` : ''}`
    asked.add(words)
    if (responseStatus?.code === 403) denied.push(words)
  }
  return { asked, denied }
}

function wordsOf({ apiGroups, resources, verbs }: Right): string[] {
  return apiGroups.flatMap((group) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
  )
}

function isMissing(view: unknown, right: Right | undefined): boolean {
  const told = (view as CheckView).findings.map(({ finding }) => finding).join('\n')
  const [verb = ''] = right?.verbs ?? []
  return told.includes(`${verb} ${right?.resources[0]}`)
}

async function grant(rules: readonly Right[]): Promise<void> {
  for (const name of ['spillway', 'spillway-node-certificates']) {
    const own = name === 'spillway' ? rules : []
    await journey.api.patch(clusterRoles, { name }, { type: 'merge', body: { rules: own } }, signal)
  }
}

// ---- what is there ----

async function poolNow(name: string): Promise<VirtualNodePool | undefined> {
  const { items } = await journey.api.list<VirtualNodePool>(virtualNodePools, {}, signal)
  return items.find(({ metadata }) => metadata?.name === name)
}

function podNow(name: string): Promise<Pod> {
  return journey.api.get(pods, { namespace, name }, signal)
}

async function webPods(): Promise<Pod[]> {
  const { items } = await journey.api.list(pods, { namespace, labelSelector: 'app=web' }, signal)
  return items
}

function isRunning({ status }: Pod): boolean {
  return status?.phase === 'Running'
}

function hasCost({ metadata }: Pod): boolean {
  return metadata?.annotations?.['controller.kubernetes.io/pod-deletion-cost'] !== undefined
}

function webOf(replicas: number): Deployment {
  const labels = { app: 'web' }
  const containers = [{ name: 'web', image: 'registry.k8s.io/pause:3.10.2' }]
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace, name: 'web' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    },
  }
}

/** Its claim is not there: no node takes it. */
function withClaim(): Pod {
  const { spec } = sleeper()
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'nowhere' } }]
  return { metadata: { namespace, name: 'placed' }, spec: { ...spec!, volumes } }
}

function sleeper(): Pod {
  return {
    metadata: { namespace, name: 'sleeper', labels: { app: 'sleeper' } },
    spec: {
      terminationGracePeriodSeconds: 1,
      nodeSelector: { 'spillway.dev/pool': 'night' },
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10.2' }],
    },
  }
}
