import { SpillwayError } from '../../model/errors.ts'
import type { Container, Pod } from '../../model/kubernetes.ts'

/**
 * The first field of the changed Pod that cannot change here while it runs, as in `spec.containers[0].resources`;
 * undefined when all can: labels, annotations and deadlines.
 */
export function unchangeableField(before: Pod, after: Pod): string | undefined {
  for (const list of ['initContainers', 'containers'] as const) {
    const earlier = new Map((before.spec?.[list] ?? []).map((container) => [container.name, container]))
    for (const [index, container] of (after.spec?.[list] ?? []).entries()) {
      const was = earlier.get(container.name)
      if (was && differ(was, container, 'resources')) return `spec.${list}[${index}].resources`
      if (was && differ(was, container, 'image')) return `spec.${list}[${index}].image`
    }
  }
  const added =
    (after.spec?.ephemeralContainers ?? []).length - (before.spec?.ephemeralContainers ?? []).length
  return added > 0 ? 'spec.ephemeralContainers' : undefined
}

/** Rejected: a seccomp profile of the user's own. The feature `seccomp` covers the runtime's profile, and none. */
export function refuseLocalProfiles(pod: Pod): void {
  const { containers = [], initContainers = [], securityContext } = pod.spec ?? {}
  const contexts = [
    { field: 'spec.securityContext', context: securityContext },
    ...contextsOf('spec.initContainers', initContainers),
    ...contextsOf('spec.containers', containers),
  ]
  for (const { field, context } of contexts) {
    if (context?.seccompProfile?.type !== 'Localhost') continue
    const problem = 'Localhost is not offered here; RuntimeDefault and Unconfined are'
    throw new SpillwayError('Rejected', `${field}.seccompProfile.type: ${problem}`)
  }
}

function contextsOf(field: string, containers: readonly Container[]) {
  return containers.map(({ securityContext: context }, index) => ({
    field: `${field}[${index}].securityContext`,
    context,
  }))
}

function differ(a: Container, b: Container, field: 'resources' | 'image'): boolean {
  return JSON.stringify(a[field] ?? {}) !== JSON.stringify(b[field] ?? {})
}
