import type { Node, Pod, Taint, Toleration } from '../model/kubernetes.ts'

/** The first of the taints with one of these effects that no toleration covers. */
export function untoleratedTaint(
  taints: readonly Taint[],
  tolerations: readonly Toleration[],
  effects: ReadonlySet<string>,
): Taint | undefined {
  return taints
    .filter((taint) => effects.has(taint.effect))
    .find((taint) => !tolerations.some((toleration) => tolerates(toleration, taint)))
}

/** Whether the toleration covers the taint (component-helpers corev1 ToleratesTaint). */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  const { key = '', operator = 'Equal', value = '', effect = '' } = toleration
  if (effect !== '' && effect !== taint.effect) return false
  // An empty key with `Exists` covers everything.
  if (key !== '' && key !== taint.key) return false
  if (operator === 'Exists') return true
  if (operator === 'Equal' || operator === '') return key !== '' && value === (taint.value ?? '')
  return comparesNumbers(operator, taint.value ?? '', value)
}

/** 1.35+: `Gt` and `Lt` compare the taint's value with the toleration's, both whole numbers. */
function comparesNumbers(operator: string, taintValue: string, value: string): boolean {
  const integer = /^-?(0|[1-9]\d*)$/
  if (!integer.test(taintValue) || !integer.test(value)) return false
  if (operator === 'Gt') return BigInt(taintValue) > BigInt(value)
  return operator === 'Lt' && BigInt(taintValue) < BigInt(value)
}

const keepOff: ReadonlySet<string> = new Set(['NoSchedule', 'NoExecute'])

/** The taints that keep the Pod off the node and that it does not tolerate. */
export function untoleratedTaints({ spec }: Pod, node: Node): Taint[] {
  const tolerations = spec?.tolerations ?? []
  return (node.spec?.taints ?? []).filter(
    (taint) => keepOff.has(taint.effect) && !tolerations.some((toleration) => tolerates(toleration, taint)),
  )
}
