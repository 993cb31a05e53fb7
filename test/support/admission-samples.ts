/** Pods and DaemonSets as people write them, of every kind that admission tells apart. */
import fc from 'fast-check'
import type { KubeObject, Pod, PodSpec, Toleration } from '../../src/model/kubernetes.ts'

const toleration = fc.constantFrom<Toleration[]>(
  { operator: 'Exists' },
  { operator: 'Exists', effect: 'NoExecute' },
  { operator: 'Exists', effect: 'NoSchedule' },
  { key: 'own', operator: 'Equal', value: 'x', effect: 'NoSchedule' },
  { key: 'spillway.dev/virtual-node', operator: 'Exists' },
  { key: 'spillway.dev/virtual-node', operator: 'Equal', value: 'burst', effect: 'NoSchedule' },
  { key: 'spillway.dev/virtual-node', operator: 'Exists', effect: 'PreferNoSchedule' },
  { key: 'slow', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 3600 },
)
const tolerations = fc.option(fc.array(toleration, { maxLength: 3 }), { nil: undefined })

export interface PodWish {
  readonly namespace: string
  readonly placement: string | undefined
  readonly owner: string | undefined
  readonly isController: boolean
  readonly nodeName: string | undefined
  readonly nodeSelector: Record<string, string> | undefined
  readonly tolerations: Toleration[] | undefined
}

/** In namespaces `plain`, `out` (of placement virtual), `kept` (of placement server) and kube-system. */
export const podWish: fc.Arbitrary<PodWish> = fc.record({
  namespace: fc.constantFrom('plain', 'plain', 'out', 'out', 'kept', 'kube-system'),
  placement: fc.constantFrom(undefined, undefined, 'virtual', 'virtual', 'auto', 'server', '', 'nonsense'),
  owner: fc.constantFrom(undefined, undefined, undefined, 'ReplicaSet', 'DaemonSet', 'Node'),
  isController: fc.boolean(),
  nodeName: fc.constantFrom(undefined, undefined, undefined, undefined, 'server-0'),
  nodeSelector: fc.constantFrom(
    undefined,
    undefined,
    {},
    { disk: 'ssd' },
    { type: 'virtual-kubelet' },
    { type: 'own' },
  ),
  tolerations,
})

export function podOfWish(wish: PodWish, name: string): Pod {
  const { namespace, placement, owner, isController, nodeName, nodeSelector } = wish
  const reference = { apiVersion: 'v1', kind: owner ?? '', name: 'it', uid: 'u', controller: isController }
  return {
    metadata: {
      namespace,
      name,
      ...(placement !== undefined && { labels: { 'spillway.dev/placement': placement } }),
      ...(owner !== undefined && { ownerReferences: [reference] }),
    },
    spec: {
      containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10.2' }],
      automountServiceAccountToken: false,
      ...(nodeName !== undefined && { nodeName }),
      ...(nodeSelector !== undefined && { nodeSelector }),
      ...(wish.tolerations !== undefined && { tolerations: wish.tolerations }),
    },
  }
}

const ssd = { key: 'disk', operator: 'In', values: ['ssd'] }
const keptOff = { key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] }
const keptOffMore = { key: 'type', operator: 'NotIn', values: ['other', 'virtual-kubelet'] }
type Term = { matchExpressions?: (typeof ssd)[]; matchFields?: typeof matchFields }
const requirement = fc.constantFrom<(typeof ssd)[]>(ssd, keptOff, keptOffMore)
const matchFields = [{ key: 'metadata.name', operator: 'In', values: ['server-0'] }]
const term: fc.Arbitrary<Term> = fc.oneof(
  fc.array(requirement, { minLength: 1, maxLength: 2 }).map((matchExpressions) => ({ matchExpressions })),
  fc.constant<Term>({ matchFields }),
  fc.constant<Term>({ matchExpressions: [ssd], matchFields }),
)
const preferred = [{ weight: 1, preference: { matchExpressions: [ssd] } }]
const affinity = fc.oneof(
  fc.constantFrom<NonNullable<PodSpec['affinity']>[]>(
    {},
    { nodeAffinity: {} },
    { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } },
  ),
  fc.array(term, { minLength: 1, maxLength: 3 }).map((nodeSelectorTerms) => {
    return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } }
  }),
)

export interface DaemonSetWish {
  readonly tolerations: Toleration[] | undefined
  readonly affinity: PodSpec['affinity'] | undefined
}

export const daemonSetWish: fc.Arbitrary<DaemonSetWish> = fc.record({
  tolerations,
  affinity: fc.option(affinity, { nil: undefined }),
})

export interface WrittenDaemonSet extends KubeObject {
  readonly spec: {
    readonly selector: object
    readonly template: { readonly metadata: object; readonly spec: PodSpec }
  }
}

export function daemonSetOfWish(wish: DaemonSetWish, name: string): WrittenDaemonSet {
  const labels = { app: name }
  return {
    metadata: { namespace: 'plain', name },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [{ name: 'agent', image: 'registry.k8s.io/pause:3.10.2' }],
          ...(wish.tolerations !== undefined && { tolerations: wish.tolerations }),
          ...(wish.affinity !== undefined && { affinity: wish.affinity }),
        },
      },
    },
  }
}
