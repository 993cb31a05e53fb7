import { compileBurstSpec, type BurstPolicyKind, type BurstSpec } from '../../config/burst-policy.ts'
import { labelsMatch } from '../../lifecycle/label-selector.ts'
import { parseTimeMs } from '../../model/clock.ts'
import type { LabelSelector, Namespace } from '../../model/kubernetes.ts'
import type { BurstPolicyObject } from './burst-policy-object.ts'

/** A policy as the rules see it. */
export interface BurstPolicy {
  readonly uid: string
  readonly kind: BurstPolicyKind
  /** Undefined for the cluster's. */
  readonly namespace: string | undefined
  readonly name: string
  readonly generation: number
  /** As people call it: `BurstPolicy shop/batch`, `ClusterBurstPolicy default`. */
  readonly title: string
  /** Requirements in its selectors: who asks for more is about fewer Pods, and goes first. */
  readonly requirements: number
  readonly createdMs: number
  readonly spec: BurstSpec
  /** Why the spec cannot be read; then it lets nothing out that it selects. */
  readonly problems: readonly string[]
}

/** Whom a policy may select: Pods that are there, and Pods that the ledger remembers. */
export interface Selected {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>> | undefined
}

/**
 * Reads a policy. The API server has checked it, but perhaps by a newer definition than ours: what cannot be read keeps
 * in whom it selects, for sending a Pod out is the step that costs money.
 */
export function burstPolicyOf(kind: BurstPolicyKind, object: BurstPolicyObject): BurstPolicy {
  const { uid = '', namespace, name = '', generation = 0, creationTimestamp } = object.metadata ?? {}
  const raw = object.spec ?? {}
  const compiled = compileBurstSpec(kind, raw)
  const spec = compiled.ok ? compiled.spec : keepingIn(kind, raw)
  return {
    uid,
    kind,
    namespace: kind === 'BurstPolicy' ? namespace : undefined,
    name,
    generation,
    title: kind === 'BurstPolicy' ? `${kind} ${namespace}/${name}` : `${kind} ${name}`,
    requirements: requirementsOf(spec.namespaceSelector) + requirementsOf(spec.podSelector),
    createdMs: creationTimestamp ? parseTimeMs(creationTimestamp) : 0,
    spec,
    problems: compiled.ok ? [] : compiled.problems,
  }
}

function keepingIn(kind: BurstPolicyKind, raw: unknown): BurstSpec {
  const { podSelector, namespaceSelector } = raw as Record<string, unknown>
  const selectors = {
    ...(podSelector !== undefined && { podSelector }),
    ...(namespaceSelector !== undefined && { namespaceSelector }),
  }
  for (const readable of [selectors, {}]) {
    const compiled = compileBurstSpec(kind, readable)
    if (compiled.ok) return { ...compiled.spec, mode: 'Never' }
  }
  throw new Error('a policy that says nothing cannot be read')
}

function requirementsOf(selector: LabelSelector | undefined): number {
  return Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions ?? []).length
}

/**
 * In the order in which they count: a namespace's own before the cluster's, then the one of more requirements, then the
 * older one (who comes later cannot take Pods away from a rule that people rely on), then by name.
 */
export function inOrder(policies: readonly BurstPolicy[]): readonly BurstPolicy[] {
  return [...policies].sort(
    (a, b) =>
      a.kind.localeCompare(b.kind) ||
      b.requirements - a.requirements ||
      a.createdMs - b.createdMs ||
      a.name.localeCompare(b.name),
  )
}

export function selects(
  { namespace: own, spec }: BurstPolicy,
  { namespace, labels }: Selected,
  home: Namespace | undefined,
): boolean {
  if (own !== undefined && own !== namespace) return false
  const { namespaceSelector, podSelector } = spec
  return (
    (!namespaceSelector || labelsMatch(namespaceSelector, home?.metadata?.labels)) &&
    (!podSelector || labelsMatch(podSelector, labels))
  )
}
