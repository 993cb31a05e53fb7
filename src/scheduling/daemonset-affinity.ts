import type { PodSpec } from '../model/kubernetes.ts'
import { virtualNodeTaintKey, virtualNodeType } from '../model/words.ts'
import type { DaemonSet } from './check-cluster.ts'
import type { AddStep } from './json-patches.ts'

type NodeSelector = NonNullable<
  NonNullable<
    NonNullable<PodSpec['affinity']>['nodeAffinity']
  >['requiredDuringSchedulingIgnoredDuringExecution']
>
type NodeSelectorTerm = NodeSelector['nodeSelectorTerms'][number]

const keptOff = { key: 'type', operator: 'NotIn', values: [virtualNodeType] }
const affinityPath = '/spec/template/spec/affinity'
const nodeAffinityPath = `${affinityPath}/nodeAffinity`
const requiredPath = `${nodeAffinityPath}/requiredDuringSchedulingIgnoredDuringExecution`

/**
 * What keeps the DaemonSet off virtual nodes if it tolerates them, as the admission policy of
 * deploy/admission/daemonsets.yaml does it: `type NotIn [virtual-kubelet]` in each term of its node affinity. Empty: it
 * does not come, or is kept off already.
 */
export function keepOffPatch({ spec }: DaemonSet): readonly AddStep[] {
  const template = spec?.template?.spec
  if (!template || !comes(template)) return []
  const { affinity } = template
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  const terms = required?.nodeSelectorTerms ?? []
  if (terms.length > 0 && terms.every(isKeptOff)) return []
  const nodeSelectorTerms = (terms.length > 0 ? terms : [{}]).map((term) => {
    return { ...term, matchExpressions: [...(term.matchExpressions ?? []), keptOff] }
  })
  return [
    ...(affinity ? [] : [add(affinityPath, {})]),
    ...(affinity?.nodeAffinity ? [] : [add(nodeAffinityPath, {})]),
    add(requiredPath, { nodeSelectorTerms }),
  ]
}

/** Others are kept off by the taint. */
function comes({ tolerations = [] }: PodSpec): boolean {
  return tolerations.some(
    ({ key = '', effect = '' }) =>
      ['', virtualNodeTaintKey].includes(key) && ['', 'NoSchedule'].includes(effect),
  )
}

function isKeptOff({ matchExpressions = [] }: NodeSelectorTerm): boolean {
  return matchExpressions.some(
    ({ key, operator, values = [] }) =>
      key === keptOff.key && operator === keptOff.operator && values.includes(virtualNodeType),
  )
}

function add(path: string, value: unknown): AddStep {
  return { op: 'add', path, value }
}
