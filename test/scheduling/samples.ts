import type { Node, Pod, PodSpec, Service, Taint } from '../../src/model/kubernetes.ts'
import { pictureOf, type ClusterObjects, type ClusterPicture } from '../../src/scheduling/cluster-picture.ts'

export interface PodSample {
  readonly name?: string
  readonly namespace?: string
  readonly labels?: Record<string, string>
  readonly cpu?: string
  readonly spec?: Partial<PodSpec>
  readonly status?: Pod['status']
  readonly owner?: string
}

/** A Pod that the scheduler has just refused, unless it says otherwise. */
export function podSample(sample: PodSample = {}): Pod {
  const { name = 'web-1', namespace = 'shop', labels = {}, cpu = '400m', spec, status, owner } = sample
  const ownerReferences = owner
    ? [{ apiVersion: 'v1', kind: owner, name: 'it', uid: 'u', controller: true }]
    : []
  return {
    metadata: { name, namespace, uid: `uid-${name}`, resourceVersion: '7', labels, ownerReferences },
    spec: { containers: [{ name: 'web', resources: { requests: { cpu } } }], ...spec },
    status: {
      phase: 'Pending',
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }],
      ...status,
    },
  }
}

/** A Pod that runs on a node. */
export function boundSample(nodeName: string, sample: PodSample = {}): Pod {
  const running = { phase: 'Running', conditions: [] }
  return podSample({
    ...sample,
    spec: { ...sample.spec, nodeName },
    status: { ...running, ...sample.status },
  })
}

export interface NodeSample {
  readonly name?: string
  readonly labels?: Record<string, string>
  readonly taints?: Taint[]
  readonly cpu?: string
  readonly pods?: string
  readonly cordoned?: boolean
  readonly ready?: boolean
}

export function serverSample(sample: NodeSample = {}): Node {
  const { name = 'server-0', labels = {}, taints = [], cpu = '1', pods = '110' } = sample
  return {
    metadata: { name, labels },
    spec: { taints, unschedulable: sample.cordoned ?? false },
    status: {
      allocatable: { cpu, memory: '4Gi', pods },
      conditions: [{ type: 'Ready', status: sample.ready === false ? 'False' : 'True' }],
    },
  }
}

export function virtualSample(pool = 'burst', sample: NodeSample = {}): Node {
  return serverSample({
    name: `${pool}-0`,
    cpu: '16',
    ...sample,
    labels: { type: 'virtual-kubelet', 'spillway.dev/pool': pool, ...sample.labels },
    taints: [
      { key: 'spillway.dev/virtual-node', value: pool, effect: 'NoSchedule' },
      { key: 'spillway.dev/virtual-node', value: pool, effect: 'PreferNoSchedule' },
      ...(sample.taints ?? []),
    ],
  })
}

export function clusterSample(objects: Partial<ClusterObjects>): ClusterPicture {
  return pictureOf({ nodes: [], pods: [], namespaces: [], services: [], ...objects })
}

export function localServiceSample(): Service {
  return {
    metadata: { name: 'front', namespace: 'shop' },
    spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', selector: { app: 'web' } },
  }
}
