import { SpillwayError } from '../../model/errors.ts'
import type { Container, Pod } from '../../model/kubernetes.ts'
import type {
  ContainerSecurity,
  CriImage,
  NamespaceOptions,
  SandboxSecurity,
  SecurityProfile,
} from './cri-types.ts'

type ImageUser = Pick<CriImage, 'uid' | 'username'>

export const namespaces: NamespaceOptions = { network: 'POD', pid: 'CONTAINER', ipc: 'POD' }

// The defaults that every runtime agrees on (pkg/securitycontext/util.go, moby oci/defaults.go).
const maskedPaths = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

export function sandboxSecurity(pod: Pod): SandboxSecurity {
  const stated = pod.spec?.securityContext
  return {
    namespaceOptions: namespaces,
    // The sandbox's own process is ours, not the user's: always the tighter profile, as kubelet has it.
    seccomp: { profileType: 'RuntimeDefault' },
    ...(stated?.runAsUser !== undefined && { runAsUser: { value: stated.runAsUser } }),
    ...(stated?.runAsUser !== undefined &&
      stated.runAsGroup !== undefined && { runAsGroup: { value: stated.runAsGroup } }),
    supplementalGroups: groupsOf(pod),
  }
}

/**
 * The container's security settings over the Pod's. Privileged, host namespaces and Localhost profiles are refused by
 * admission, so they are not read here. Rejected, with the reason `CreateContainerConfigError`: the image or the spec
 * breaks `runAsNonRoot`.
 */
export function containerSecurity(pod: Pod, container: Container, image: ImageUser): ContainerSecurity {
  const own = container.securityContext
  const ofPod = pod.spec?.securityContext
  const user = own?.runAsUser ?? ofPod?.runAsUser
  const group = own?.runAsGroup ?? ofPod?.runAsGroup
  if (own?.runAsNonRoot ?? ofPod?.runAsNonRoot) verifyNonRoot(pod, container, { user, image })
  return {
    namespaceOptions: namespaces,
    capabilities: {
      addCapabilities: own?.capabilities?.add ?? [],
      dropCapabilities: own?.capabilities?.drop ?? [],
    },
    privileged: false,
    ...userOf(user, image),
    ...(group !== undefined && { runAsGroup: { value: group } }),
    readonlyRootfs: own?.readOnlyRootFilesystem ?? false,
    supplementalGroups: groupsOf(pod),
    noNewPrivs: own?.allowPrivilegeEscalation === false,
    maskedPaths,
    readonlyPaths,
    seccomp: seccompProfile(own?.seccompProfile?.type ?? ofPod?.seccompProfile?.type),
  }
}

// CRI wants one of the two; what the image says is passed on because the runtime would else need another look at it.
function userOf(user: number | undefined, image: ImageUser): Partial<ContainerSecurity> {
  if (user !== undefined) return { runAsUser: { value: user } }
  if (image.uid) return { runAsUser: { value: image.uid.value } }
  return image.username === '' ? {} : { runAsUsername: image.username }
}

function groupsOf(pod: Pod): number[] {
  const { fsGroup, supplementalGroups = [] } = pod.spec?.securityContext ?? {}
  return fsGroup === undefined ? supplementalGroups : [fsGroup, ...supplementalGroups]
}

function seccompProfile(type: string | undefined): SecurityProfile {
  // Kubernetes' default without seccompDefault is no profile.
  return { profileType: type === 'RuntimeDefault' ? 'RuntimeDefault' : 'Unconfined' }
}

function verifyNonRoot(
  pod: Pod,
  container: Container,
  { user, image }: { readonly user: number | undefined; readonly image: ImageUser },
): void {
  const where = `(pod: "${pod.metadata?.name}_${pod.metadata?.namespace}(${pod.metadata?.uid})", container: ${container.name})`
  const refuse = (sentence: string): never => {
    throw new SpillwayError('Rejected', `${sentence} ${where}`, { reason: 'CreateContainerConfigError' })
  }
  if (user === 0) refuse("container's runAsUser breaks non-root policy")
  if (user !== undefined) return
  if (image.uid === null && image.username !== '') {
    refuse(
      `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root`,
    )
  }
  if (image.uid === null || image.uid.value === '0') {
    refuse('container has runAsNonRoot and image will run as root')
  }
}
