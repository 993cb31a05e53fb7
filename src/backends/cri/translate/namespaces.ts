import type { Pod } from '../../../model/kubernetes.ts'
import type { IdMapping, NamespaceOptions } from '../runtime/cri-types.ts'

/** User and group ids of the machine that are a Pod's own: its 0 is the first of them. */
export interface IdRange {
  readonly firstId: number
  readonly length: number
}

/**
 * Which namespaces a Pod's sandbox or container has of its own and which it shares (kuberuntime/util NamespacesForPod).
 * "The machine" is where the runtime stands: its network and process namespaces need not be those of the kernel's init.
 */
export function namespacesOf(
  { spec }: Pod,
  own: { readonly userNamespace?: IdRange | undefined; readonly targetContainerId?: string | undefined } = {},
): NamespaceOptions {
  const pid = spec?.hostPID ? 'NODE' : spec?.shareProcessNamespace ? 'POD' : 'CONTAINER'
  // Who sees all processes of the Pod, or of the machine, sees those of the target already.
  const isTargeted = own.targetContainerId !== undefined && pid === 'CONTAINER'
  return {
    network: spec?.hostNetwork ? 'NODE' : 'POD',
    pid: isTargeted ? 'TARGET' : pid,
    ipc: spec?.hostIPC ? 'NODE' : 'POD',
    ...(isTargeted && { targetId: own.targetContainerId }),
    usernsOptions: own.userNamespace ? { mode: 'POD', ...idMappings(own.userNamespace) } : { mode: 'NODE' },
  }
}

/** Users and groups are mapped alike. */
export function idMappings({ firstId, length }: IdRange): {
  readonly uids: readonly IdMapping[]
  readonly gids: readonly IdMapping[]
} {
  const mappings = [{ hostId: firstId, containerId: 0, length }]
  return { uids: mappings, gids: mappings }
}
