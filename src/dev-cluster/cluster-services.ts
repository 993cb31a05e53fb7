import type { KubeApi, Resource } from '../kube/api.ts'
import { services } from '../kube/resources.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { clusterDnsAddress, type ClusterLayout } from './cluster-layout.ts'
import { ensureObject } from './ensure-object.ts'
import type { Right } from '../model/controller-rights.ts'
import { ensureClusterRole } from './spillway-identity.ts'

interface EndpointSlice extends KubeObject {
  readonly addressType: string
  readonly endpoints: readonly object[]
  readonly ports: readonly object[]
}

const endpointSlices: Resource<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
}

export const dnsUser = 'system:coredns'

const dnsRules: readonly Right[] = [
  { apiGroups: [''], resources: ['services', 'pods', 'namespaces', 'endpoints'], verbs: ['list', 'watch'] },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
]

/**
 * Makes CoreDNS, a process on the node and no Pod, the cluster's DNS: a Service without selector, and the EndpointSlice
 * that nobody would write for it otherwise.
 */
export async function publishDns(client: KubeApi, layout: ClusterLayout, signal: AbortSignal): Promise<void> {
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ]
  const name = 'kube-dns'
  const namespace = 'kube-system'
  await ensureClusterRole(
    client,
    dnsUser,
    dnsRules,
    { kind: 'User', name: dnsUser, apiGroup: 'rbac.authorization.k8s.io' },
    signal,
  )
  await ensureObject(
    client,
    services,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name, labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/name': 'CoreDNS' } },
      spec: {
        clusterIP: clusterDnsAddress,
        ports: ports.map((port) => ({ ...port, targetPort: port.port })),
      },
    },
    signal,
  )
  await ensureObject(
    client,
    endpointSlices,
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace, name, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [layout.nodeAddress], conditions: { ready: true } }],
      ports,
    },
    signal,
  )
}
