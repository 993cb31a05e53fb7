import type { Node, Pod, Taint, Toleration } from '../model/kubernetes.ts'

/** k8s.io/api/core/v1 Toleration.ToleratesTaint: empty key with Exists matches all, empty effect matches each. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  switch (toleration.operator ?? 'Equal') {
    case 'Exists':
      return true
    case 'Equal':
      return Boolean(toleration.key) && (toleration.value ?? '') === (taint.value ?? '')
    default:
      // `Lt` and `Gt` (1.35+) compare whole numbers; none of our taints is one, and an unsupported operator lets
      // nothing through in the API server of an older version either.
      return toleratesNumber(toleration, taint)
  }
}

function toleratesNumber(toleration: Toleration, taint: Taint): boolean {
  const whole = /^(0|-?[1-9]\d*)$/
  const [wanted, found] = [toleration.value ?? '', taint.value ?? '']
  if (!whole.test(wanted) || !whole.test(found)) return false
  if (toleration.operator === 'Lt') return BigInt(found) < BigInt(wanted)
  return toleration.operator === 'Gt' && BigInt(found) > BigInt(wanted)
}

/** The taints that keep the Pod off the node (NoSchedule, NoExecute) and that it does not tolerate. */
export function untoleratedTaints(pod: Pod, node: Node): Taint[] {
  return (node.spec?.taints ?? []).filter(
    (taint) =>
      (taint.effect === 'NoSchedule' || taint.effect === 'NoExecute') &&
      !(pod.spec?.tolerations ?? []).some((toleration) => tolerates(toleration, taint)),
  )
}
