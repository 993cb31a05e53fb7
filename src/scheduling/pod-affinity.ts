import { labelsMatch } from '../lifecycle/label-selector.ts'
import type { LabelSelector, Namespace, Node, Pod } from '../model/kubernetes.ts'
import { domainOf, withLabelKeys, type PopulatedNode } from './spread.ts'

type Term = NonNullable<
  NonNullable<
    NonNullable<NonNullable<Pod['spec']>['affinity']>['podAffinity']
  >['requiredDuringSchedulingIgnoredDuringExecution']
>[number] & {
  /** 1.31+, besides `matchLabelKeys`. */
  readonly mismatchLabelKeys?: readonly string[]
}

export interface Surroundings {
  readonly populated: readonly PopulatedNode[]
  /** Only the Pods that will not be beside some others. */
  readonly avoiders: readonly PopulatedNode[]
  readonly namespaces: ReadonlyMap<string, Namespace>
}

/**
 * Why the Pods that are there keep a Pod off a node, by required affinity and anti-affinity of either (plugins/
 * interpodaffinity). Undefined: nothing of the kind concerns the Pod.
 */
export function affinityOf(pod: Pod, around: Surroundings): ((node: Node) => string | undefined) | undefined {
  const apart = [...domainsToAvoid(pod, around), ...domainsThatAvoid(pod, around)]
  const beside = termsOf(pod, 'podAffinity')
  if (apart.length === 0 && beside.length === 0) return undefined
  const isBeside = besides(pod, beside, around)
  return (node) => {
    if (apart.some(({ key, value }) => domainOf(node, key) === value)) return 'anti-affinity to Pods there'
    return isBeside(node) ? undefined : 'affinity to Pods elsewhere'
  }
}

/** Whether the Pod keeps some others off its place. */
export function hasAntiAffinity(pod: Pod): boolean {
  return termsOf(pod, 'podAntiAffinity').length > 0
}

interface Domain {
  readonly key: string
  readonly value: string
}

/** Where Pods are that this one must not be beside. */
function domainsToAvoid(pod: Pod, { populated, namespaces }: Surroundings): Domain[] {
  return termsOf(pod, 'podAntiAffinity').flatMap((term) =>
    populated.flatMap(({ node, pods }) =>
      pods.some((other) => termMatches(term, pod, other, namespaces)) ? domain(node, term) : [],
    ),
  )
}

/** Where Pods are that must not be beside this one. */
function domainsThatAvoid(pod: Pod, { avoiders, namespaces }: Surroundings): Domain[] {
  return avoiders.flatMap(({ node, pods }) =>
    pods.flatMap((other) =>
      termsOf(other, 'podAntiAffinity').flatMap((term) =>
        termMatches(term, other, pod, namespaces) ? domain(node, term) : [],
      ),
    ),
  )
}

function domain(node: Node, { topologyKey }: Term): Domain[] {
  const value = domainOf(node, topologyKey)
  return value === undefined ? [] : [{ key: topologyKey, value }]
}

/** All terms have to be met; the first of a group, which finds nobody to be beside, may go anywhere that has the labels. */
function besides(
  pod: Pod,
  terms: readonly Term[],
  { populated, namespaces }: Surroundings,
): (node: Node) => boolean {
  if (terms.length === 0) return () => true
  const matches = (other: Pod): boolean => terms.every((term) => termMatches(term, pod, other, namespaces))
  const hosts = populated.filter(({ pods }) => pods.some(matches)).map(({ node }) => node)
  const domains = terms.map(
    (term) => new Set(hosts.flatMap((node) => domain(node, term)).map(({ value }) => value)),
  )
  const isFirst = domains.every(({ size }) => size === 0) && matches(pod)
  return (node) =>
    terms.every(({ topologyKey }, index) => {
      const value = domainOf(node, topologyKey)
      return value !== undefined && (isFirst || domains[index]?.has(value) === true)
    })
}

function termsOf({ spec }: Pod, kind: 'podAffinity' | 'podAntiAffinity'): readonly Term[] {
  return spec?.affinity?.[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? []
}

/** Whether `other` is one of those that the term of `owner` speaks of. */
function termMatches(
  term: Term,
  owner: Pod,
  other: Pod,
  namespaces: ReadonlyMap<string, Namespace>,
): boolean {
  const home = other.metadata?.namespace ?? ''
  return (
    isSpokenOf(term, owner, home, namespaces) && labelsMatch(selectorOf(term, owner), other.metadata?.labels)
  )
}

function isSpokenOf(
  { namespaces = [], namespaceSelector }: Term,
  owner: Pod,
  home: string,
  known: ReadonlyMap<string, Namespace>,
): boolean {
  if (namespaces.length === 0 && !namespaceSelector) return home === (owner.metadata?.namespace ?? '')
  return namespaces.includes(home) || labelsMatch(namespaceSelector, known.get(home)?.metadata?.labels)
}

function selectorOf(
  { labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] }: Term,
  owner: Pod,
): LabelSelector | undefined {
  const matching = withLabelKeys(labelSelector, matchLabelKeys, owner)
  if (!matching) return undefined
  const others = mismatchLabelKeys.flatMap((key) => {
    const value = owner.metadata?.labels?.[key]
    return value === undefined ? [] : [{ key, operator: 'NotIn', values: [value] }]
  })
  return { ...matching, matchExpressions: [...(matching.matchExpressions ?? []), ...others] }
}
