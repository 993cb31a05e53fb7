import type { LabelSelector } from '../model/kubernetes.ts'
import { requirementMatches } from './node-affinity.ts'

/** As in the API: no selector matches nothing, an empty one everything. */
export function labelsMatch(
  selector: LabelSelector | undefined,
  labels: Readonly<Record<string, string>> = {},
): boolean {
  if (!selector) return false
  const { matchLabels = {}, matchExpressions = [] } = selector
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every((requirement) => requirementMatches(requirement, labels))
  )
}
