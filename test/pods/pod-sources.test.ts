import { expect, test } from 'vitest'
import type { KubeApi, Resource } from '../../src/kube/api.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { KubeObject, PodCertificateRequest, RuntimeClass, Service } from '../../src/model/kubernetes.ts'
import { NodeSources } from '../../src/pods/pod-sources.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { aPod } from '../support/builders.ts'
import { FakeClock } from '../support/fake-clock.ts'

const facts = {
  name: 'burst-0',
  ips: ['10.0.0.1'],
  clusterDns: [],
  clusterDomain: 'cluster.local',
  allocatableCpuMillis: 4_000n,
  allocatableMemoryBytes: 8n << 30n,
}

test('a certificate is asked for with the UID of the Pod’s own node, and the node is what it is now', async () => {
  const made: PodCertificateRequest[] = []
  const uids: Readonly<Record<string, string>> = { 'burst-0': 'uid-of-node', builder: 'uid-of-account' }
  const api = {
    getText: async () => JSON.stringify({ resources: [{ name: 'podcertificaterequests' }] }),
    list: async () => ({ items: [], metadata: { resourceVersion: '1' } }),
    async *watch(_resource: unknown, _options: unknown, signal: AbortSignal) {
      yield { type: 'BOOKMARK', resourceVersion: '2' }
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
    get: async (_resource: Resource<KubeObject>, { name }: { name: string }) => ({
      metadata: { name, uid: uids[name] },
    }),
    create: async (_resource: unknown, object: PodCertificateRequest) => {
      made.push(object)
      return { metadata: { name: 'req-1' } }
    },
  } as unknown as KubeApi
  let memory = facts.allocatableMemoryBytes
  const log = silentLog()
  const sources = new NodeSources({
    api,
    services: new ObjectStore<Service>({ log }),
    runtimeClasses: new ObjectStore<RuntimeClass>({ log }),
    nodeFacts: () => ({ ...facts, allocatableMemoryBytes: memory }),
    clock: new FakeClock(),
    backoff: () => 1_000,
    log,
  })
  const reader = sources.of(aPod({ name: 'web', spec: { serviceAccountName: 'builder', containers: [] } }))
  const stubRequest = new Uint8Array([1, 2])
  const name = await reader.requestCertificate(
    { signerName: 'example.com/signer', stubRequest },
    new AbortController().signal,
  )
  expect(name).toBe('req-1')
  expect(made[0]?.spec).toMatchObject({
    nodeName: 'burst-0',
    nodeUID: 'uid-of-node',
    serviceAccountUID: 'uid-of-account',
  })
  memory = 1n << 30n
  expect(reader.node.allocatableMemoryBytes).toBe(1n << 30n)
  sources.close()
})
