import type { Node, Pod } from '../model/kubernetes.ts'

interface Requirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

interface Term {
  readonly matchExpressions?: readonly Requirement[]
  readonly matchFields?: readonly Requirement[]
}

/** `nodeSelector` and required node affinity (k8s.io/component-helpers/scheduling/corev1/nodeaffinity). */
export function nodeMatches(pod: Pod, node: Node): boolean {
  const labels = node.metadata?.labels ?? {}
  for (const [key, value] of Object.entries(pod.spec?.nodeSelector ?? {})) {
    if (labels[key] !== value) return false
  }
  const terms = requiredTerms(pod)
  return !terms || matchesTerms(terms, node)
}

/** Whether the node is one of those that the terms select: of a Pod's affinity, or of a volume's. */
export function matchesTerms(terms: readonly Term[], node: Node): boolean {
  const labels = node.metadata?.labels ?? {}
  const fields = { 'metadata.name': node.metadata?.name ?? '' }
  return terms.some((term) => termMatches(term, labels, fields))
}

/** Whether the Pod says anything at all about which nodes it may run on. */
export function selectsNodes(pod: Pod): boolean {
  return Object.keys(pod.spec?.nodeSelector ?? {}).length > 0 || requiredTerms(pod) !== undefined
}

function requiredTerms(pod: Pod): readonly Term[] | undefined {
  return pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
}

type Values = Readonly<Record<string, string>>

/** A term without any requirement matches nothing, unlike an empty label selector. */
function termMatches(term: Term, labels: Values, fields: Values): boolean {
  const { matchExpressions = [], matchFields = [] } = term
  if (matchExpressions.length === 0 && matchFields.length === 0) return false
  return (
    matchExpressions.every((requirement) => requirementMatches(requirement, labels)) &&
    matchFields.every((requirement) => requirementMatches(requirement, fields))
  )
}

/** Of node labels and of any others: `NotIn` and `DoesNotExist` also match what has no such key. */
export function requirementMatches({ key, operator, values = [] }: Requirement, labels: Values): boolean {
  const value = labels[key]
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
    case 'Lt':
      return comparesTo(operator, value, values[0])
    default:
      return false
  }
}

function comparesTo(operator: 'Gt' | 'Lt', value: string | undefined, bound: string | undefined): boolean {
  const whole = /^[+-]?\d+$/
  if (value === undefined || bound === undefined || !whole.test(value) || !whole.test(bound)) return false
  const [left, right] = [asBigInt(value), asBigInt(bound)]
  return operator === 'Gt' ? left > right : left < right
}

// BigInt('+5') is a SyntaxError; Go's ParseInt takes it.
function asBigInt(text: string): bigint {
  return BigInt(text.replace(/^\+/, ''))
}
