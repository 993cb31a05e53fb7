import { asPodUid, type PodRef } from '../../model/pod-key.ts'
import type { Container, ResourceRequirements } from '../../model/kubernetes.ts'
import type { ContainerKind } from '../../model/pod-observation.ts'
import type { StringMap } from './runtime/cri-types.ts'
import type { HookHandler } from './hooks/run-hook.ts'

/** Who we are: what carries other values is not ours, and is neither listed nor touched. */
export interface Owner {
  /** UID of the kube-system namespace. */
  readonly clusterUid: string
  /** Tells apart several Spillways of one cluster on one runtime. */
  readonly instance: string
}

export interface ContainerPlan {
  readonly name: string
  readonly kind: ContainerKind
  readonly image: string
}

const clusterLabel = 'spillway.dev/cluster-uid'
const instanceLabel = 'spillway.dev/instance'
const kindLabel = 'spillway.dev/container-kind'
const nodeLabel = 'spillway.dev/node-name'
const generationAnnotation = 'spillway.dev/generation'
const messagePolicyAnnotation = 'spillway.dev/termination-message-policy'
const backoffAnnotation = 'spillway.dev/restart-backoff-ms'
const postStartAnnotation = 'spillway.dev/has-post-start'
const preStopAnnotation = 'spillway.dev/pre-stop'
const resourcesAnnotation = 'spillway.dev/resources'

// What crictl and log shippers know Kubernetes' sandboxes and containers by.
const podNameLabel = 'io.kubernetes.pod.name'
const podNamespaceLabel = 'io.kubernetes.pod.namespace'
const podUidLabel = 'io.kubernetes.pod.uid'
const containerNameLabel = 'io.kubernetes.container.name'

/** Selects everything of ours in lists. */
export function ownerLabels({ clusterUid, instance }: Owner): StringMap {
  return { [clusterLabel]: clusterUid, [instanceLabel]: instance }
}

export function podLabels(owner: Owner, pod: PodRef): StringMap {
  return {
    ...ownerLabels(owner),
    [podNameLabel]: pod.name,
    [podNamespaceLabel]: pod.namespace,
    [podUidLabel]: pod.uid,
  }
}

/** Selects the sandboxes and containers of one Pod. */
export function podSelector(owner: Owner, uid: string): StringMap {
  return { ...ownerLabels(owner), [podUidLabel]: uid }
}

export function sandboxLabels(owner: Owner, pod: PodRef, nodeName: string): StringMap {
  return { ...podLabels(owner, pod), [nodeLabel]: nodeName }
}

export function containerLabels(owner: Owner, pod: PodRef, plan: ContainerPlan): StringMap {
  return { ...podLabels(owner, pod), [containerNameLabel]: plan.name, [kindLabel]: plan.kind }
}

export function generationMark(generation: number): StringMap {
  return { [generationAnnotation]: String(generation) }
}

export interface AttemptMarks {
  readonly generation: number
  readonly container: Container
  /** The restart back-off that is in force for this attempt. */
  readonly backoffMs: number
  /** Where its preStop hook is to ask. */
  readonly podIp: string
  /** What it is made with, as `givenResources` has it. */
  readonly given: ResourceRequirements
}

/** What has to be known of an attempt when nobody has its Pod's spec any more. */
export function containerMarks({ generation, container, backoffMs, podIp, given }: AttemptMarks): StringMap {
  const { lifecycle, ports = [], terminationMessagePolicy = 'File' } = container
  const hook: PreStopMark | undefined = lifecycle?.preStop && { handler: lifecycle.preStop, ports, podIp }
  return {
    ...generationMark(generation),
    [resourcesAnnotation]: JSON.stringify(given),
    [messagePolicyAnnotation]: terminationMessagePolicy,
    ...(backoffMs > 0 && { [backoffAnnotation]: String(backoffMs) }),
    ...(lifecycle?.postStart && { [postStartAnnotation]: 'true' }),
    ...(hook && { [preStopAnnotation]: JSON.stringify(hook) }),
  }
}

export function backoffOf(annotations: StringMap): number {
  return Number(annotations[backoffAnnotation] ?? 0)
}

/** Whether a hook has to be carried out before the container counts as started. */
export function hasPostStart(annotations: StringMap): boolean {
  return annotations[postStartAnnotation] === 'true'
}

/** Undefined: an earlier version of this program made it. */
export function givenMark(annotations: StringMap): ResourceRequirements | undefined {
  const text = annotations[resourcesAnnotation]
  return text === undefined ? undefined : (JSON.parse(text) as ResourceRequirements)
}

export interface PreStopMark {
  readonly handler: HookHandler
  /** For handlers that name their port. */
  readonly ports: NonNullable<Container['ports']>
  readonly podIp: string
}

export function preStopOf(annotations: StringMap): PreStopMark | undefined {
  const text = annotations[preStopAnnotation]
  return text === undefined ? undefined : (JSON.parse(text) as PreStopMark)
}

/** Where a container stands in its Pod's spec, for events. */
export function fieldPathOf({ kind, name }: Pick<ContainerPlan, 'kind' | 'name'>): string {
  const field = {
    init: 'initContainers',
    sidecar: 'initContainers',
    main: 'containers',
    ephemeral: 'ephemeralContainers',
  }
  return `spec.${field[kind]}{${name}}`
}

/** Undefined when the labels are not those of a Pod's. */
export function podOfLabels(labels: StringMap): PodRef | undefined {
  const uid = labels[podUidLabel]
  const name = labels[podNameLabel]
  const namespace = labels[podNamespaceLabel]
  if (!uid || !name || !namespace) return undefined
  return { uid: asPodUid(uid), name, namespace }
}

export function nodeNameOf(labels: StringMap): string {
  return labels[nodeLabel] ?? ''
}

export function kindOf(labels: StringMap): ContainerKind {
  const kind = labels[kindLabel]
  return kind === 'init' || kind === 'sidecar' || kind === 'ephemeral' ? kind : 'main'
}

/** Whether the last log lines stand in for an empty termination message of a failed container. */
export function fallsBackToLogs(annotations: StringMap): boolean {
  return annotations[messagePolicyAnnotation] === 'FallbackToLogsOnError'
}
