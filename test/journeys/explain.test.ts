/** What explain foretells, and what the real scheduler and overflow then do: one Pod after the other on a cluster that fills up. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { runApp } from '../../src/app.ts'
import { askAdmin } from '../../src/cli/admin-client.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { ExplainQuery, ExplainView } from '../../src/console/api/contract.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { nodes, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { applyAdmission, whenAdmissionInForce } from '../support/admission.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { until } from '../support/until.ts'
import { startServer } from '../support/small-cluster.ts'

const seed = 20261128
const count = 40
const namespace = 'explained'
/** The scheduler chooses: the Pod tolerates every pool's taint. */
const anyPool = 'any pool'
const ending = new AbortController()
const { signal } = ending

let plane: TestControlPlane
let api: KubeApi & { close(): Promise<void> }
let folder: string
let app: Promise<void>

// Two servers of two cores, and virtual nodes of three: forty Pods of up to a core fill all of them.
beforeAll(async () => {
  plane = await startTestControlPlane({ virtualNodes: ['burst-0', 'spare-0'] })
  const { admin, spillway } = plane.controlPlane
  const world = { clock: systemClock, log: silentLog(), random: Math.random, environment: process.env }
  api = createKubeClient({ ...world, credentials: explicitCredentials(admin), userAgent: 'journey' })
  await spillway.publish(api, signal)
  await applyAdmission(api, signal)
  for (const name of ['server-0', 'server-1'])
    await startServer(api, { name, cpu: '2', memory: '8Gi' }, signal)
  folder = mkdtempSync(join(tmpdir(), 'sw-'))
  const [firstPort = 0, , port] = await findFreePorts(3)
  const [certificates] = spillway.nodes.values()
  const place = certificates?.certFile.replace('burst-0', '{node}')
  const file = join(folder, 'spillway.yaml')
  const capacity = { cpu: '3', memory: '16Gi' }
  writeFileSync(
    file,
    stringify({
      clusterName: 'explained',
      kubeconfig: spillway.kubeconfig,
      state: folder,
      run: folder,
      nodeApi: { address: '127.0.0.1', firstPort, servingCertificate: 'self-signed' },
      nodeIdentity: {
        clientCertificate: place,
        clientKey: certificates?.keyFile.replace('burst-0', '{node}'),
      },
      admissionWebhook: { port },
      backends: [{ name: 'local', kind: 'simulator' }],
      pools: [
        { name: 'burst', backend: 'local', capacity },
        { name: 'spare', backend: 'local', capacity, priceBook: 'flat-demo' },
      ],
    }),
  )
  app = runApp(loadConfig({ file, flags: {}, environment: {} }), world, signal)
  app.catch(() => undefined)
  await createNamespace(api, { name: namespace }, signal)
  await whenAdmissionInForce(api, signal)
  await until(
    'all four nodes take Pods',
    async () => {
      const { items } = await api.list(nodes, {}, signal)
      const open = items.filter(
        ({ spec }) => !spec?.taints?.some(({ key }) => key.startsWith('node.kubernetes.io/')),
      )
      return open.length === 4
    },
    signal,
  )
})

afterAll(async () => {
  ending.abort()
  await app?.catch(() => undefined)
  await api?.close()
  await plane?.[Symbol.asyncDispose]()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

const wishes = fc.record({
  cpu: fc.integer({ min: 50, max: 1000 }),
  placement: fc.constantFrom(undefined, undefined, undefined, 'server', 'virtual', 'auto', 'nonsense'),
  selector: fc.constantFrom({}, {}, {}, {}, { 'spillway.dev/pool': 'spare' }, { disk: 'fast' }),
})

test(`each of ${count} Pods goes where it was foretold, seed ${seed}`, { timeout: 170_000 }, async () => {
  const foretold: Record<string, string> = {}
  const found: Record<string, string> = {}
  for (const [index, wish] of fc.sample(wishes, { seed, numRuns: count }).entries()) {
    const pod = podOf(`pod-${index}`, wish)
    const view = await explain({ pod })
    foretold[view.name] = placeOf(view)
    await api.create(pods, pod, signal)
    const isExpected = view.outcome === 'server' || view.outcome === 'virtual'
    await until(
      `${view.name} is where it goes`,
      async () => {
        const { spec, status } = await api.get(pods, { namespace, name: view.name }, signal)
        if (spec?.nodeName) return (await explain({ namespace, name: view.name })).outcome === 'bound'
        const refused = status?.conditions?.some(
          ({ type, status: value }) => type === 'PodScheduled' && value === 'False',
        )
        return !isExpected && refused === true
      },
      signal,
    )
  }
  // By now those that stay have been looked at many times.
  for (const { metadata, spec } of (await api.list(pods, { namespace }, signal)).items) {
    const name = metadata?.name ?? ''
    const place = kindOfNode(spec?.nodeName)
    found[name] = foretold[name] === anyPool && place !== 'server' && place !== 'nowhere' ? anyPool : place
  }
  expect(found).toEqual(foretold)
  // The cluster was one that made all of them happen.
  expect(new Set(Object.values(found))).toEqual(new Set(['server', 'burst', 'spare', anyPool, 'nowhere']))
})

test('what it costs is told for each pool by its own book, and for one alone when asked', async () => {
  const pod = podOf('priced', { cpu: 400, placement: undefined, selector: {} })
  const { prices } = await explain({ pod })
  expect(prices.map(({ pool, priceBook }) => [pool, priceBook])).toEqual([
    ['burst', 'tencent-eks-intl-2023-06-30'],
    ['spare', 'flat-demo'],
  ])
  expect((await explain({ pod, pool: 'spare' })).prices).toEqual([prices[1]])
  await expect(explain({ pod, pool: 'other' })).rejects.toThrow('pool: found "other"; allowed: burst, spare')
  await expect(explain({ namespace, name: 'nobody' })).rejects.toThrow('Pod explained/nobody is not there')
})

test('a Pod is judged as this API server keeps it', async () => {
  const pod = podOf('whole', { cpu: 400, placement: 'server', selector: {} })
  const requests = { cpu: '1500m' }
  const written = { ...pod, spec: { containers: [], ...pod.spec, resources: { requests } } }
  const { dropped, prices } = await explain({ pod: written })
  const stored = await api.create(pods, written, signal)
  expect(dropped).toEqual(stored.spec?.resources ? undefined : ['spec.resources'])
  expect(prices[0]?.steps[0]).toMatch(stored.spec?.resources ? '1.5' : '0.4')
})

function podOf(
  name: string,
  {
    cpu,
    placement,
    selector,
  }: { cpu: number; placement: string | undefined; selector: Record<string, string | undefined> },
): Pod {
  const nodeSelector = Object.fromEntries(Object.entries(selector).map(([key, value]) => [key, value ?? '']))
  return {
    metadata: {
      namespace,
      name,
      labels: placement === undefined ? {} : { 'spillway.dev/placement': placement },
    },
    spec: {
      nodeSelector,
      containers: [
        { name: 'main', image: 'registry.k8s.io/pause:3.10.2', resources: { requests: { cpu: `${cpu}m` } } },
      ],
    },
  }
}

async function explain(query: ExplainQuery): Promise<ExplainView> {
  return (await askAdmin(
    { target: join(folder, 'admin.sock') },
    '/v1/explain',
    { body: query },
    signal,
  )) as ExplainView
}

function placeOf({ outcome, pool }: ExplainView): string {
  if (outcome === 'virtual') return pool ?? anyPool
  return outcome === 'server' ? 'server' : 'nowhere'
}

function kindOfNode(name: string | undefined): string {
  return name ? name.replace(/-\d+$/, '') : 'nowhere'
}
