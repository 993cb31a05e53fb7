import { labelsMatch } from '../lifecycle/label-selector.ts'
import { nodeMatches } from '../lifecycle/node-affinity.ts'
import { untoleratedTaints } from '../lifecycle/tolerations.ts'
import type { LabelSelector, Node, Pod } from '../model/kubernetes.ts'

type Constraint = NonNullable<NonNullable<Pod['spec']>['topologySpreadConstraints']>[number]

/** A node with the Pods on it that are not over. */
export interface PopulatedNode {
  readonly node: Node
  readonly pods: readonly Pod[]
}

/** Why the Pod may not be on a node, for its spread; undefined: it may. */
export type SpreadRefusal = (node: Node) => { readonly isForGood: boolean; readonly why: string } | undefined

/** Hard topology spread, as the scheduler's filter counts it (plugins/podtopologyspread). Undefined: the Pod has none. */
export function spreadOf(pod: Pod, populated: readonly PopulatedNode[]): SpreadRefusal | undefined {
  const all = pod.spec?.topologySpreadConstraints ?? []
  const hard = all.filter(({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule')
  if (hard.length === 0) return undefined
  // A node that lacks one of the labels counts for none of the constraints.
  const labelled = populated.filter(({ node }) =>
    hard.every(({ topologyKey }) => domainOf(node, topologyKey) !== undefined),
  )
  const counted = hard.map((constraint) => ({ constraint, ...countDomains(pod, constraint, labelled) }))
  return (node) => {
    for (const { constraint, counts, least, self } of counted) {
      const { topologyKey, maxSkew } = constraint
      const domain = domainOf(node, topologyKey)
      if (domain === undefined) return { isForGood: true, why: `no label ${topologyKey}` }
      const skew = (counts.get(domain) ?? 0) + self - least
      if (skew > maxSkew) return { isForGood: false, why: `spread over ${topologyKey}` }
    }
    return undefined
  }
}

interface Counted {
  readonly counts: ReadonlyMap<string, number>
  readonly least: number
  readonly self: number
}

function countDomains(pod: Pod, constraint: Constraint, nodes: readonly PopulatedNode[]): Counted {
  const { topologyKey, minDomains = 1 } = constraint
  const selector = withLabelKeys(constraint.labelSelector, constraint.matchLabelKeys ?? [], pod)
  const isEmpty = isEmptySelector(selector)
  const counts = new Map<string, number>()
  for (const { node, pods } of nodes) {
    if (!isIncluded(pod, constraint, node)) continue
    const domain = domainOf(node, topologyKey) ?? ''
    const here = isEmpty ? 0 : pods.filter((other) => isCounted(other, pod, selector)).length
    counts.set(domain, (counts.get(domain) ?? 0) + here)
  }
  const least = counts.size < minDomains ? 0 : Math.min(...counts.values())
  const self = labelsMatch(selector, pod.metadata?.labels) ? 1 : 0
  return { counts, least: Number.isFinite(least) ? least : 0, self }
}

function isCounted(other: Pod, { metadata }: Pod, selector: LabelSelector | undefined): boolean {
  const { namespace, deletionTimestamp, labels } = other.metadata ?? {}
  return !deletionTimestamp && namespace === metadata?.namespace && labelsMatch(selector, labels)
}

/** By default taints do not count: a virtual node that the Pod may not go to is one of the domains all the same. */
function isIncluded(pod: Pod, { nodeAffinityPolicy, nodeTaintsPolicy }: Constraint, node: Node): boolean {
  if (nodeAffinityPolicy !== 'Ignore' && !nodeMatches(pod, node)) return false
  return nodeTaintsPolicy !== 'Honor' || untoleratedTaints(pod, node).length === 0
}

function isEmptySelector(selector: LabelSelector | undefined): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {}
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0
}

/** `matchLabelKeys`: the Pod's own values of these keys, as far as it has them. */
export function withLabelKeys(
  selector: LabelSelector | undefined,
  keys: readonly string[],
  { metadata }: Pod,
): LabelSelector | undefined {
  const own = keys.flatMap((key) => {
    const value = metadata?.labels?.[key]
    return value === undefined ? [] : [{ key, operator: 'In', values: [value] }]
  })
  if (own.length === 0) return selector
  return { ...selector, matchExpressions: [...(selector?.matchExpressions ?? []), ...own] }
}

export function domainOf({ metadata }: Node, topologyKey: string): string | undefined {
  return metadata?.labels?.[topologyKey]
}
