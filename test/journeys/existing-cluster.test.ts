import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments, stringify } from 'yaml'
import { runApp } from '../../src/app.ts'
import { askAdmin } from '../../src/cli/admin-client.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { CheckView } from '../../src/console/api/contract.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import { clusterRoleBindings, clusterRoles } from '../../src/dev-cluster/spillway-identity.ts'
import type { KubeApi, Resource } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { daemonSets, nodes, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import { controllerRights, nodeCertificateRights } from '../../src/model/controller-rights.ts'
import type { KubeObject } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'

const deploy = join(import.meta.dirname, '../../deploy')
const ending = new AbortController()
const { signal } = ending

interface Role extends KubeObject {
  readonly rules: object
}

function objectsOf(file: string): Role[] {
  return parseAllDocuments(readFileSync(join(deploy, file), 'utf8')).map(
    (document) => document.toJS() as Role,
  )
}

let plane: TestControlPlane
let api: KubeApi & { close(): Promise<void> }
let folder: string
let app: Promise<void>

beforeAll(async () => {
  plane = await startTestControlPlane()
  const { admin, spillway } = plane.controlPlane
  const world = { clock: systemClock, log: silentLog(), random: Math.random, environment: process.env }
  api = createKubeClient({ ...world, credentials: explicitCredentials(admin), userAgent: 'journey' })
  await spillway.publish(api, signal)
  await apply('impersonation.yaml')
  folder = mkdtempSync(join(tmpdir(), 'sw-'))
  const [firstPort = 0] = await findFreePorts(1)
  const file = join(folder, 'spillway.yaml')
  writeFileSync(
    file,
    stringify({
      clusterName: 'existing',
      kubeconfig: spillway.kubeconfig,
      state: folder,
      run: folder,
      nodeApi: { address: '127.0.0.1', firstPort },
      nodeIdentity: 'impersonate',
      backends: [{ name: 'local', kind: 'simulator' }],
      pools: [{ name: 'burst', backend: 'local' }],
    }),
  )
  app = runApp(loadConfig({ file, flags: {}, environment: {} }), world, signal)
})

afterAll(async () => {
  ending.abort()
  await app
  await api?.close()
  await plane?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

test('deploy/rbac.yaml grants what the embedded cluster grants', () => {
  const role = objectsOf('rbac.yaml').find(({ kind }) => kind === 'ClusterRole')
  expect(role?.rules).toEqual(controllerRights)
  const more = objectsOf('node-certificates.yaml').find(({ kind }) => kind === 'ClusterRole')
  expect(more?.rules).toEqual(nodeCertificateRights)
})

test('with a ServiceAccount that may impersonate its nodes, a Pod sent out by hand runs', async () => {
  await until(async () => {
    const { items } = await api.list(nodes, {}, signal)
    return items.some(({ status }) =>
      status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    )
  })
  await until(async () => {
    const { items } = await api.list(
      { group: '', version: 'v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true },
      { namespace: 'default' },
      signal,
    )
    return items.length > 0
  })
  const pod = {
    metadata: { namespace: 'default', name: 'task' },
    spec: {
      nodeSelector: { 'spillway.dev/pool': 'burst' },
      tolerations: [
        { key: 'spillway.dev/virtual-node', operator: 'Equal', value: 'burst', effect: 'NoSchedule' },
      ],
      containers: [{ name: 'task', image: 'registry.k8s.io/pause:3.10.2' }],
    },
  }
  await api.create(pods, pod, signal)
  await until(
    async () =>
      (await api.get(pods, { namespace: 'default', name: 'task' }, signal)).status?.phase === 'Running',
  )
  const { spec, status } = await api.get(pods, { namespace: 'default', name: 'task' }, signal)
  expect(spec?.nodeName).toBe('burst-0')
  expect(status?.podIP).toMatch(/^\d+\./)
})

test('spillway check finds what will not work here, and no right that is missing', async () => {
  const labels = { app: 'agent' }
  const tolerations = [{ operator: 'Exists' }]
  const containers = [{ name: 'agent', image: 'registry.k8s.io/pause:3.10.2' }]
  await api.create(
    daemonSets,
    {
      metadata: { namespace: 'default', name: 'agent' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { tolerations, containers } },
      },
    } as KubeObject,
    signal,
  )
  const { findings } = (await askAdmin(
    { target: join(folder, 'admin.sock') },
    '/v1/check',
    {},
    signal,
  )) as CheckView
  expect(findings.map(({ level, finding }) => `${level}: ${finding}`)).toEqual([
    'problem: DaemonSet default/agent wants a Pod on virtual nodes, and its updates will wait for that',
    'note: pools stand in the configuration file only: this cluster serves no VirtualNodePools',
    'note: a pool or virtual node is deleted although Pods run there',
    'note: label spillway.dev/placement: virtual counts only once no server has room',
    'note: DaemonSets that tolerate everything are not kept off virtual nodes',
  ])
})

async function apply(file: string): Promise<void> {
  for (const object of objectsOf(file)) {
    const resource = (
      object.kind === 'ClusterRole' ? clusterRoles : clusterRoleBindings
    ) as Resource<KubeObject>
    await api.create(resource, object, signal)
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 60_000
  while (!(await holds())) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error('waited a minute in vain')
    await systemClock.sleep(100, signal)
  }
}
