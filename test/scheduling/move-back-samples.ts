/** Workloads over servers and a virtual node, as moving back sees them. */
import { kubeTime } from '../../src/model/clock.ts'
import type { Deployment, Namespace, Node, Pod, ReplicaSet } from '../../src/model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../../src/model/words.ts'
import type { MoveBackRules, MoveBackView } from '../../src/scheduling/decide-move-back.ts'
import { clusterSample, serverSample, virtualSample } from './samples.ts'

export const nowWallMs = Date.parse('2026-11-29T12:00:00Z')
export const rules: MoveBackRules = { afterMs: 300_000, reservePercent: 0, giveUpMs: 300_000 }
export const everyPod = { rulesOf: () => rules, perMinute: 6 }

export function agoTime(seconds: number): string {
  return kubeTime(nowWallMs - seconds * 1000)
}

const labels = { app: 'web', 'pod-template-hash': 'abc' }

/** Two Pods on the server and one out there, unless it says otherwise. */
export interface Scene {
  readonly pods?: readonly Pod[]
  readonly nodes?: readonly Node[]
  readonly namespaces?: readonly Namespace[]
  readonly deployment?: (made: Deployment) => Deployment
  readonly replicaSet?: (made: ReplicaSet) => ReplicaSet
  readonly others?: readonly Pod[]
  readonly otherSets?: readonly ReplicaSet[]
}

export function sceneOf(scene: Scene = {}): MoveBackView {
  const pods = [...(scene.pods ?? [webPod('a'), webPod('b'), outPod('c')]), ...(scene.others ?? [])]
  const nodes = [...(scene.nodes ?? [serverSample({ cpu: '2' }), virtualSample()])]
  const size = (scene.pods ?? [1, 2, 3]).length
  const same = <T>(made: T): T => made
  return {
    picture: clusterSample({ nodes, pods, namespaces: [...(scene.namespaces ?? [])] }),
    pods,
    replicaSets: [(scene.replicaSet ?? same)(replicaSetOf(size)), ...(scene.otherSets ?? [])],
    deployments: [(scene.deployment ?? same)(deploymentOf(size))],
  }
}

export function replicaSetOf(replicas: number): ReplicaSet {
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: 'web',
    uid: 'deployment',
    controller: true,
  }
  return {
    metadata: { namespace: 'shop', name: 'web-abc', uid: 'set', generation: 1, ownerReferences: [owner] },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels: { ...labels, tier: 'front' } }, spec: templateSpec() },
    },
    status: { replicas, observedGeneration: 1 },
  }
}

export function templateSpec(): NonNullable<Pod['spec']> {
  return { containers: [{ name: 'web', resources: { requests: { cpu: '400m' } } }] }
}

function deploymentOf(replicas: number): Deployment {
  return {
    metadata: { namespace: 'shop', name: 'web', uid: 'deployment', generation: 1 },
    spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: {} },
    status: { replicas, updatedReplicas: replicas, observedGeneration: 1 },
  }
}

export interface Wish {
  readonly node?: string
  readonly ready?: boolean
  readonly createdAgoS?: number
  readonly annotations?: Record<string, string>
  readonly spec?: Partial<NonNullable<Pod['spec']>>
  readonly labels?: Record<string, string>
}

/** One of the ReplicaSet's Pods. */
export function webPod(name: string, wish: Wish = {}): Pod {
  const { node = 'server-0', ready = true, createdAgoS = 1000, annotations = {}, spec } = wish
  const since = agoTime(createdAgoS - 5)
  return {
    metadata: {
      namespace: 'shop',
      name,
      uid: `uid-${name}`,
      resourceVersion: '7',
      creationTimestamp: agoTime(createdAgoS),
      labels: { ...labels, ...wish.labels },
      annotations,
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-abc', uid: 'set', controller: true },
      ],
    },
    spec: { ...templateSpec(), ...spec, nodeName: node },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: since }],
    },
  }
}

/** One of them that overflow sent out. */
export function outPod(name: string, wish: Wish = {}): Pod {
  const ours = { [deletionCostAnnotation]: '-1000', [deletionCostSetAnnotation]: '-1000' }
  const tolerations = [
    { key: 'spillway.dev/virtual-node', operator: 'Equal', value: 'burst', effect: 'NoSchedule' },
  ]
  const annotations = { ...ours, ...wish.annotations }
  return webPod(name, { node: 'burst-0', ...wish, annotations, spec: { tolerations, ...wish.spec } })
}
