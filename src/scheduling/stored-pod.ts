import type { Pod } from '../model/kubernetes.ts'

/** Since when API servers keep a field of the Pod's spec without being told to: what decides where it goes, or its price. */
const fieldsSince = [
  // PodLevelResources: beta, on by default.
  { field: 'resources', minor: 34 },
] as const

/**
 * The Pod as an API server of that version stores it: what it does not know it drops without a word. `dropped` names
 * those fields, as in `spec.resources`. Pure.
 */
export function storedPod(
  pod: Pod,
  /** `gitVersion`, as in `v1.30.14`. */
  serverVersion: string,
): { readonly pod: Pod; readonly dropped: readonly string[] } {
  const minor = Number(/^v1\.(\d+)/.exec(serverVersion)?.[1] ?? Number.POSITIVE_INFINITY)
  const unknown = fieldsSince.filter(
    ({ field, minor: since }) => minor < since && pod.spec?.[field] !== undefined,
  )
  if (!pod.spec || unknown.length === 0) return { pod, dropped: [] }
  const spec = { ...pod.spec }
  for (const { field } of unknown) delete spec[field]
  return { pod: { ...pod, spec }, dropped: unknown.map(({ field }) => `spec.${field}`) }
}
