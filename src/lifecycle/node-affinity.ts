import type { Node, Pod } from '../model/kubernetes.ts'

/** `spec.nodeSelector` and the required node affinity together (component-helpers nodeaffinity). */
export function matchesNode(pod: Pod, node: Node): boolean {
  const labels = node.metadata?.labels ?? {}
  const { nodeSelector = {}, affinity } = pod.spec ?? {}
  if (Object.entries(nodeSelector).some(([key, value]) => labels[key] !== value)) return false
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, node))
}

interface Requirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

interface Term {
  readonly matchExpressions?: readonly Requirement[]
  readonly matchFields?: readonly Requirement[]
}

/** Terms are alternatives; within one, all has to match. An empty term matches nothing. */
function matchesTerm({ matchExpressions = [], matchFields = [] }: Term, node: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false
  const labels = node.metadata?.labels ?? {}
  return (
    matchExpressions.every((requirement) => holds(requirement, labels[requirement.key])) &&
    // The name is the only field that the API server accepts here.
    matchFields.every(
      (requirement) => requirement.key === 'metadata.name' && holds(requirement, node.metadata?.name),
    )
  )
}

function holds({ operator, values = [] }: Requirement, actual: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return actual !== undefined && values.includes(actual)
    case 'NotIn':
      return actual === undefined || !values.includes(actual)
    case 'Exists':
      return actual !== undefined
    case 'DoesNotExist':
      return actual === undefined
    case 'Gt':
      return compares(actual, values[0], (a, b) => a > b)
    case 'Lt':
      return compares(actual, values[0], (a, b) => a < b)
    default:
      return false
  }
}

function compares(
  actual: string | undefined,
  wanted: string | undefined,
  compare: (a: bigint, b: bigint) => boolean,
): boolean {
  const integer = /^-?\d+$/
  if (actual === undefined || wanted === undefined) return false
  return integer.test(actual) && integer.test(wanted) && compare(BigInt(actual), BigInt(wanted))
}
