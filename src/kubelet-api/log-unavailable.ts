import type { ContainerStatus, Pod } from '../model/kubernetes.ts'

/** Why a container has no log yet, in kubelet's sentence. Pure. */
export function logUnavailable(
  pod: Pod,
  { container, previous }: { readonly container: string; readonly previous: boolean },
): string {
  const name = pod.metadata?.name ?? ''
  const status = findStatus(pod, container)
  if (!status) return `container "${container}" in pod "${name}" is not available`
  if (previous) return `previous terminated container "${container}" in pod "${name}" not found`
  const waiting = status.state?.waiting
  if (!waiting) return `container "${container}" in pod "${name}" is terminated`
  const why: Readonly<Record<string, string>> = {
    ErrImagePull: "image can't be pulled",
    ImagePullBackOff: 'trying and failing to pull image',
  }
  const reason = waiting.reason ?? ''
  return `container "${container}" in pod "${name}" is waiting to start: ${why[reason] ?? reason}`
}

function findStatus({ status }: Pod, container: string): ContainerStatus | undefined {
  return [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ].find(({ name }) => name === container)
}
