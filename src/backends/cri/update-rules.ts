import { refusalSentence, unsupportedUses } from '../../lifecycle/unsupported.ts'
import type { Capabilities } from '../../model/capability.ts'
import { SpillwayError } from '../../model/errors.ts'
import type { Container, Pod } from '../../model/kubernetes.ts'

/**
 * The first field of the changed Pod that cannot change here while it runs, as in `spec.containers[0].resources`;
 * undefined when all can: images, ephemeral containers, labels, annotations and deadlines.
 */
export function unchangeableField(before: Pod, after: Pod): string | undefined {
  for (const list of ['initContainers', 'containers'] as const) {
    const earlier = new Map((before.spec?.[list] ?? []).map((container) => [container.name, container]))
    for (const [index, container] of (after.spec?.[list] ?? []).entries()) {
      const was = earlier.get(container.name)
      if (was && differ(was, container)) return `spec.${list}[${index}].resources`
    }
  }
  return undefined
}

/**
 * Rejected: the Pod asks for what is not offered here, more than `before` did. Admission has said so of a new Pod
 * already, but ephemeral containers come past that door; and what runs goes on when an option is withdrawn.
 */
export function refuseUnsupported(pod: Pod, capabilities: Capabilities, before?: Pod): void {
  const earlier = new Set(before && unsupportedUses(before, capabilities).map(({ field }) => field))
  const missing = unsupportedUses(pod, capabilities).find(({ field }) => !earlier.has(field))
  if (!missing) return
  const message = refusalSentence(missing, capabilities)
  throw new SpillwayError('Rejected', message, { reason: 'UnsupportedPodSpec' })
}

function differ(a: Container, b: Container): boolean {
  return JSON.stringify(a.resources ?? {}) !== JSON.stringify(b.resources ?? {})
}
