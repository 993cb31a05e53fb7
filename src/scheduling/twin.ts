import { createHash } from 'node:crypto'
import { labelsMatch } from '../lifecycle/label-selector.ts'
import type { OwnerReference, Pod, PodSpec, ReplicaSet } from '../model/kubernetes.ts'
import {
  movedBackAnnotation,
  moveBackAfterAnnotation,
  moveBackTriesAnnotation,
  placementLabel,
  twinLabel,
  virtualNodeType,
} from '../model/words.ts'
import { unchanged, type JsonPatchStep } from './json-patches.ts'

type Labels = Readonly<Record<string, string>>

/** The UID of the Pod whose place this twin is to take; undefined: it is none. */
export function twinOf({ metadata }: Pod): string | undefined {
  return metadata?.labels?.[twinLabel]
}

/** Whether the Pod is a twin, or was one until its ReplicaSet got it. */
export function isOrWasTwin(pod: Pod): boolean {
  return twinOf(pod) !== undefined || pod.metadata?.annotations?.[movedBackAnnotation] !== undefined
}

/**
 * A Pod as its ReplicaSet would make it, kept on servers and out of the ReplicaSet's selector. It keeps every label that
 * it can: Services, network policies, disruption budgets, spread and sidecar injectors then know it from the start as one
 * of the others. Owned by the Pod that it replaces: the garbage collector removes it with that one, also when we are gone.
 * Undefined when no label can be taken away that puts it outside of the selector.
 */
export function makeTwin(
  original: Pod,
  replicaSet: ReplicaSet,
  isTaken: (name: string) => boolean,
): Pod | undefined {
  const { template } = replicaSet.spec ?? {}
  const labels = labelsOutside(replicaSet)
  if (!template?.spec || !labels) return undefined
  const { namespace = '', name = '', uid = '' } = original.metadata ?? {}
  return {
    metadata: {
      namespace,
      name: twinName(replicaSet, uid, isTaken),
      labels: { ...labels, [twinLabel]: uid, [placementLabel]: 'server' },
      annotations: { ...template.metadata?.annotations },
      ...(template.metadata?.finalizers && { finalizers: template.metadata.finalizers }),
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }],
    },
    spec: onServersOnly(template.spec),
  }
}

/** The Pod as far as the scheduler sees it, were it to be placed on a server anew. */
export function asTwin(original: Pod): Pod {
  const { nodeName: _, ...spec } = original.spec ?? { containers: [] }
  // A UID of its own: by that one picture of the cluster tells who is counted where.
  const uid = `twin of ${original.metadata?.uid}`
  return { metadata: { ...original.metadata, uid }, spec: onServersOnly(spec) }
}

/**
 * The same name each time that it is asked for, until it is there: made twice, after a crash or behind a slow watch, the
 * second one is refused.
 */
function twinName(replicaSet: ReplicaSet, uid: string, isTaken: (name: string) => boolean): string {
  // As the API server makes names: letters and digits that spell nothing, in a name that is a host name, too.
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789'
  for (let turn = 0; ; turn += 1) {
    const digest = createHash('sha256').update(`${uid}/${turn}`).digest()
    const suffix = [...digest.subarray(0, 5)].map((byte) => alphabet[byte % alphabet.length]).join('')
    const name = `${(replicaSet.metadata?.name ?? '').slice(0, 57)}-${suffix}`
    if (!isTaken(name)) return name
  }
}

/** The template's labels without those by which the ReplicaSet would have the Pod; undefined when there are none such. */
export function labelsOutside(replicaSet: ReplicaSet): Labels | undefined {
  const { selector, template } = replicaSet.spec ?? {}
  if (!selector) return undefined
  const labels = { ...template?.metadata?.labels }
  for (const key of droppedKeys(replicaSet)) delete labels[key]
  return labelsMatch(selector, labels) ? undefined : labels
}

/** The hash alone where a Deployment put one, since people select by all others; else all that the selector asks for. */
export function droppedKeys({ spec }: ReplicaSet): readonly string[] {
  const { matchLabels = {}, matchExpressions = [] } = spec?.selector ?? {}
  if (hashLabel in matchLabels) return [hashLabel]
  return [...Object.keys(matchLabels), ...matchExpressions.map(({ key }) => key)]
}

const hashLabel = 'pod-template-hash'

/** Required, since a preference would let a twin go to a virtual node, where it saves nothing. */
function onServersOnly(spec: PodSpec): PodSpec {
  const here = { key: 'type', operator: 'NotIn', values: [virtualNodeType] }
  const { affinity = {} } = spec
  const required = affinity.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  // The Pod has to match one of the terms, so that each has to say it. A term that is empty matches no node, and stays so.
  const terms = required?.nodeSelectorTerms.map((term) =>
    term.matchExpressions || term.matchFields
      ? { ...term, matchExpressions: [...(term.matchExpressions ?? []), here] }
      : term,
  ) ?? [{ matchExpressions: [here] }]
  const nodeAffinity = {
    ...affinity.nodeAffinity,
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms },
  }
  return { ...spec, affinity: { ...affinity, nodeAffinity } }
}

/**
 * Makes a twin one of its ReplicaSet's Pods: all of the template's labels, its owner, nothing of ours but where it comes
 * from. In one write: left to be adopted, it would be nobody's for a moment, and for ever if the ReplicaSet went just then.
 */
export function handOverPatch(twin: Pod, replaced: Pod, { metadata, spec }: ReplicaSet): JsonPatchStep[] {
  const { [twinLabel]: _, [placementLabel]: __, ...kept } = twin.metadata?.labels ?? {}
  const annotations = {
    ...twin.metadata?.annotations,
    [movedBackAnnotation]: replaced.metadata?.name ?? '',
  }
  const { name = '', uid = '' } = metadata ?? {}
  // Without blockOwnerDeletion, for which one would need a right to the ReplicaSet's finalizers.
  const owner: OwnerReference = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid, controller: true }
  const owners = (twin.metadata?.ownerReferences ?? []).filter((reference) => reference.uid !== twinOf(twin))
  return [
    ...unchanged(twin),
    { op: 'add', path: '/metadata/labels', value: { ...kept, ...spec?.template?.metadata?.labels } },
    { op: 'add', path: '/metadata/annotations', value: annotations },
    { op: 'add', path: '/metadata/ownerReferences', value: [...owners, owner] },
  ]
}

/** How often the Pod was to be moved back in vain. */
export function triesOf({ metadata }: Pod): number {
  const text = metadata?.annotations?.[moveBackTriesAnnotation] ?? '0'
  return /^\d{1,3}$/.test(text) ? Number(text) : 0
}

/** Notes on a Pod that it is not moved back before that time, and how often it was tried. */
export function putOffPatch(
  original: Pod,
  until: { readonly time: string; readonly tries: number },
): JsonPatchStep[] {
  const annotations = {
    ...original.metadata?.annotations,
    [moveBackAfterAnnotation]: until.time,
    [moveBackTriesAnnotation]: String(until.tries),
  }
  return [...unchanged(original), { op: 'add', path: '/metadata/annotations', value: annotations }]
}
