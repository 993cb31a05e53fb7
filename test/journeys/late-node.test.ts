import { afterAll, beforeAll, expect, it } from 'vitest'
import { waitUntil } from '../../src/dev-cluster/wait-until.ts'
import { namespaces, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { poolToleration } from '../../src/scheduling/decide-overflow.ts'
import { sendOutPatch } from '../../src/scheduling/json-patches.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import {
  healthy,
  openClients,
  startServer,
  startStores,
  startVirtualNode,
  type Stores,
  type TestClient,
  startOverflow,
} from '../support/small-cluster.ts'

/**
 * Since 1.32 the scheduler looks at a refused Pod again only when something happened that concerns what refused it, and
 * without a virtual node no taint did: a toleration is then no reason. Its own sweep comes after five minutes.
 */
const running = new AbortController()
const { signal } = running
const namespace = 'early'
let plane: TestControlPlane
let clients: { admin: TestClient; controller: TestClient; node: TestClient }
let stores: Stores

beforeAll(async () => {
  plane = await startTestControlPlane({ virtualNodes: ['burst-0'] })
  clients = await openClients(plane, 'burst-0')
  const { admin, controller } = clients
  stores = startStores(controller, signal)
  await startServer(admin, { name: 'server-0', cpu: '100m', memory: '4Gi' }, signal)
  startOverflow(controller, stores, signal)
  await admin.create(namespaces, { metadata: { name: namespace } }, signal)
})

afterAll(async () => {
  running.abort()
  for (const client of Object.values(clients ?? {})) await client.close()
  await plane?.[Symbol.asyncDispose]()
})

it('Pods that were refused before there was any virtual node go to the first one that comes', async () => {
  await create('plain', {})
  await create('by-hand', { tolerations: [poolToleration('burst')] })
  await create('let-in-too-early', {})
  const names = ['plain', 'by-hand', 'let-in-too-early']
  await until('all are refused', () => names.every(refused))
  await letIn('let-in-too-early')
  expect(names.map(nodeOf)).toEqual([undefined, undefined, undefined])

  startVirtualNode(clients, stores, () => healthy, signal)
  await until('all are bound', () => names.every((name) => nodeOf(name) === 'burst-0'))
})

async function create(name: string, spec: Partial<PodSpec>): Promise<void> {
  const containers = [{ name: 'web', image: 'web:1', resources: { requests: { cpu: '400m' } } }]
  const automountServiceAccountToken = false
  const whole = { metadata: { namespace, name }, spec: { containers, automountServiceAccountToken, ...spec } }
  await waitUntil(
    async () => await clients.admin.create(pods, whole, signal),
    { condition: `${name} is created`, timeoutMs: 30_000, clock: systemClock },
    signal,
  )
}

/** As overflow does it; anew when the Pod changed meanwhile. */
async function letIn(name: string): Promise<void> {
  const { controller } = clients
  await waitUntil(
    async () => {
      const found = await controller.get(pods, { namespace, name }, signal)
      const patch = { type: 'json', body: sendOutPatch(found, 'burst') } as const
      return await controller.patch(pods, { namespace, name }, patch, signal)
    },
    { condition: `${name} is let in`, timeoutMs: 30_000, clock: systemClock },
    signal,
  )
}

function pod(name: string): Pod | undefined {
  return stores.pods.get({ namespace, name })
}

function nodeOf(name: string): string | undefined {
  return pod(name)?.spec?.nodeName
}

function refused(name: string): boolean {
  return (pod(name)?.status?.conditions ?? []).some(({ reason }) => reason === 'Unschedulable')
}

async function until(condition: string, met: () => boolean): Promise<void> {
  const options = { condition, timeoutMs: 60_000, clock: systemClock }
  await waitUntil(async () => (met() ? true : undefined), options, signal)
}
