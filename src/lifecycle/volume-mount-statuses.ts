import type { Container, VolumeMountStatus } from '../model/kubernetes.ts'
import type { ContainerObservation } from '../model/pod-observation.ts'

/**
 * How each mount of the spec came to be, in its order, from before the container is made on (kubelet_pods.go
 * convertToAPIContainerStatuses). `IfPossible` counts as `Disabled` until the backend has shown otherwise.
 */
export function volumeMountStatuses(
  { volumeMounts = [] }: Pick<Container, 'volumeMounts'>,
  observed: Pick<ContainerObservation, 'recursiveReadOnlyPaths'> | undefined,
): VolumeMountStatus[] {
  return volumeMounts.map(({ name, mountPath, readOnly, recursiveReadOnly }) => {
    if (!readOnly) return { name, mountPath }
    const recursive =
      recursiveReadOnly === 'Enabled' || (observed?.recursiveReadOnlyPaths ?? []).includes(mountPath)
    return { name, mountPath, readOnly, recursiveReadOnly: recursive ? 'Enabled' : 'Disabled' }
  })
}
