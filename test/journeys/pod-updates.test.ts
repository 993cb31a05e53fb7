/** What people change of a running Pod, on a real API server: it reaches the backend, and a status that was written is not written again and again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { runApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/load.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { nodes, pods } from '../../src/kube/resources.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type { ContainerObservation } from '../../src/model/pod-observation.ts'
import { resourcesOf } from '../../src/model/pod-resources.ts'
import { StatusReporter } from '../../src/pods/status-reporter.ts'
import { observed, running } from '../lifecycle/observations.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { openClients, partOptions, type TestClient } from '../support/small-cluster.ts'
import { until } from '../support/until.ts'

const ending = new AbortController()
const never = new AbortController().signal
const namespace = 'default'
let plane: TestControlPlane
let clients: { admin: TestClient; controller: TestClient; node: TestClient }
let folder: string
let app: Promise<void>

beforeAll(async () => {
  plane = await startTestControlPlane({ virtualNodes: ['burst-0', 'quiet-0'] })
  clients = await openClients(plane, 'quiet-0')
  const { spillway } = plane.controlPlane
  folder = mkdtempSync(join(tmpdir(), 'sw-'))
  const [firstPort = 0] = await findFreePorts(1)
  const certificates = spillway.nodes.get('burst-0')
  const file = join(folder, 'spillway.yaml')
  writeFileSync(
    file,
    stringify({
      clusterName: 'updated',
      kubeconfig: spillway.kubeconfig,
      state: folder,
      run: folder,
      nodeApi: { address: '127.0.0.1', firstPort, servingCertificate: 'self-signed' },
      nodeIdentity: { clientCertificate: certificates?.certFile, clientKey: certificates?.keyFile },
      backends: [{ name: 'local', kind: 'simulator' }],
      pools: [{ name: 'burst', backend: 'local' }],
    }),
  )
  const config = loadConfig({ file, flags: {}, environment: {} })
  app = runApp(config, { ...partOptions, environment: process.env }, ending.signal)
  app.catch(() => undefined)
  await until(
    'the node is there',
    async () => (await clients.admin.list(nodes, {}, never)).items.length > 0,
    never,
  )
})

afterAll(async () => {
  ending.abort()
  await app?.catch(() => undefined)
  for (const client of Object.values(clients ?? {})) await client.close()
  await plane?.[Symbol.asyncDispose]()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

function podOn(nodeName: string, name: string): Pod {
  const resources = { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2', memory: '1Gi' } }
  return {
    metadata: { namespace, name },
    spec: { nodeName, containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10.1', resources }] },
  }
}

async function read(name: string): Promise<Pod> {
  return await clients.admin.get(pods, { namespace, name }, never)
}

test('a new image and an ephemeral container come to run', async () => {
  const { admin } = clients
  await admin.create(pods, podOn('burst-0', 'changing'), never)
  const first = async (): Promise<boolean> => {
    const [status] = (await read('changing')).status?.containerStatuses ?? []
    return status?.state?.running !== undefined
  }
  await until('it runs', first, never)
  const image = 'registry.k8s.io/pause:3.10.2'
  const body = { spec: { containers: [{ name: 'main', image }] } }
  await admin.patch(pods, { namespace, name: 'changing' }, { type: 'strategic', body }, never)
  const isNew = async (): Promise<boolean> => {
    const [status] = (await read('changing')).status?.containerStatuses ?? []
    return status?.image === image && status.restartCount === 1 && status.state?.running !== undefined
  }
  await until('the new image runs', isNew, never)
  const debugging = { spec: { ephemeralContainers: [{ name: 'debug', image }] } }
  await admin.patch(
    pods,
    { namespace, name: 'changing' },
    { type: 'strategic', subresource: 'ephemeralcontainers', body: debugging },
    never,
  )
  const isDebugged = async (): Promise<boolean> => {
    const [status] = (await read('changing')).status?.ephemeralContainerStatuses ?? []
    return status?.state?.running !== undefined
  }
  await until('the ephemeral container runs', isDebugged, never)
})

test('a status that says all that a backend can see is written once, though the API server may not know all of it', async () => {
  const { admin, node } = clients
  const written = await admin.create(pods, podOn('quiet-0', 'seen'), never)
  let writes = 0
  const counting: Pick<KubeApi, 'patch'> = {
    patch: (resource, object, patch, signal) => {
      writes += 1
      return node.patch(resource, object, patch, signal)
    },
  }
  const reporter = new StatusReporter({
    api: counting as KubeApi,
    nodeIps: ['192.0.2.1'],
    clock: partOptions.clock,
  })
  const resources = written.spec?.containers[0]?.resources ?? {}
  const main: ContainerObservation = {
    ...running('main'),
    resources,
    user: { uid: 0, gid: 0, supplementalGroups: [0] },
    stopSignal: 'SIGTERM',
  }
  const seen = observed({
    resources,
    allocation: { generation: 1, resources: resourcesOf(written), inEffectAtMs: 0 },
    containers: [main],
  })
  const look = async (): Promise<void> => {
    const pod = await read('seen')
    const numbered = { ...pod, metadata: { generation: 1, ...pod.metadata } }
    const none = { refusal: undefined, pendingResize: undefined, acceptedAtMs: undefined }
    await reporter.report({ pod: numbered, observed: seen, ...none }, never)
  }
  for (let round = 0; round < 5; round += 1) await look()
  expect((await read('seen')).status?.phase).toBe('Running')
  // The second may say what depends on the first.
  expect(writes).toBeLessThanOrEqual(2)
})
