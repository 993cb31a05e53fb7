import { join } from 'node:path'
import { appArmorProfileOf } from '../../../lifecycle/app-armor.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { Container, Pod } from '../../../model/kubernetes.ts'
import type { ContainerSecurity, CriImage, SandboxSecurity, SecurityProfile } from '../runtime/cri-types.ts'
import { namespacesOf, type IdRange } from './namespaces.ts'

type ImageUser = Pick<CriImage, 'uid' | 'username'>

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

/** `userNamespace`: the Pod's own ids on the machine, when it has some. */
export function sandboxSecurity(pod: Pod, userNamespace?: IdRange): SandboxSecurity {
  const stated = pod.spec?.securityContext
  return {
    namespaceOptions: namespacesOf(pod, { userNamespace }),
    // Else the runtime takes no privileged container into it.
    privileged: allContainers(pod).some(({ securityContext }) => securityContext?.privileged),
    // The sandbox's own process is ours, not the user's: always the tighter profile, as kubelet has it.
    seccomp: { profileType: 'RuntimeDefault' },
    ...(stated?.runAsUser !== undefined && { runAsUser: { value: stated.runAsUser } }),
    // Kubelet states the group alone, too, and containerd refuses that.
    ...(stated?.runAsUser !== undefined &&
      stated.runAsGroup !== undefined && { runAsGroup: { value: stated.runAsGroup } }),
    ...groupsOf(pod),
  }
}

export interface ContainerSecurityInput {
  readonly pod: Pod
  readonly container: Container
  readonly image: ImageUser
  readonly userNamespace?: IdRange | undefined
  /** Of an ephemeral container: the id of the container that it is to look into. */
  readonly targetContainerId?: string | undefined
  /** Folder of the profiles that Pods name as Localhost. */
  readonly seccompProfiles?: string | undefined
  /** What this machine has to hide besides the usual. */
  readonly maskedPaths: readonly string[]
}

/**
 * The container's security settings over the Pod's (pkg/securitycontext DetermineEffectiveSecurityContext). Rejected,
 * with the reason `CreateContainerConfigError`: the image or the spec breaks `runAsNonRoot`.
 */
export function containerSecurity(input: ContainerSecurityInput): ContainerSecurity {
  const { pod, container, image, userNamespace, targetContainerId } = input
  const own = container.securityContext
  const ofPod = pod.spec?.securityContext
  const user = own?.runAsUser ?? ofPod?.runAsUser
  const group = own?.runAsGroup ?? ofPod?.runAsGroup
  if (own?.runAsNonRoot ?? ofPod?.runAsNonRoot) verifyNonRoot(pod, container, { user, image })
  const appArmor = appArmorProfileOf(pod, container)
  const unmasked = own?.procMount === 'Unmasked'
  return {
    namespaceOptions: namespacesOf(pod, { userNamespace, targetContainerId }),
    capabilities: {
      addCapabilities: own?.capabilities?.add ?? [],
      dropCapabilities: own?.capabilities?.drop ?? [],
    },
    privileged: own?.privileged ?? false,
    ...userOf(user, image),
    ...(group !== undefined && { runAsGroup: { value: group } }),
    readonlyRootfs: own?.readOnlyRootFilesystem ?? false,
    ...groupsOf(pod),
    noNewPrivs: own?.allowPrivilegeEscalation === false,
    maskedPaths: unmasked ? [] : [...maskedPaths, ...input.maskedPaths],
    readonlyPaths: unmasked ? [] : readonlyPaths,
    seccomp: seccompProfile(own?.seccompProfile ?? ofPod?.seccompProfile, input.seccompProfiles),
    ...(appArmor && { apparmor: appArmorProfile(appArmor) }),
  }
}

// CRI wants one of the two; what the image says is passed on because the runtime would else need another look at it, and
// takes no group without a user.
function userOf(user: number | undefined, image: ImageUser): Partial<ContainerSecurity> {
  if (user !== undefined) return { runAsUser: { value: user } }
  if (image.uid) return { runAsUser: { value: image.uid.value } }
  return image.username === '' ? { runAsUser: { value: 0 } } : { runAsUsername: image.username }
}

function groupsOf(pod: Pod): Pick<ContainerSecurity, 'supplementalGroups' | 'supplementalGroupsPolicy'> {
  const { fsGroup, supplementalGroups = [], supplementalGroupsPolicy } = pod.spec?.securityContext ?? {}
  return {
    supplementalGroups: fsGroup === undefined ? supplementalGroups : [fsGroup, ...supplementalGroups],
    ...(supplementalGroupsPolicy && { supplementalGroupsPolicy }),
  }
}

type StatedProfile = { readonly type: string; readonly localhostProfile?: string }

function seccompProfile(stated: StatedProfile | undefined, folder: string | undefined): SecurityProfile {
  if (stated?.type === 'Localhost') {
    const { localhostProfile = '' } = stated
    // The API server takes only paths that stay below; a Pod that came past it must not read another file.
    if (folder === undefined || localhostProfile === '' || localhostProfile.split('/').includes('..')) {
      throw new SpillwayError('Rejected', `seccomp profile "${localhostProfile}" is not offered here`, {
        reason: 'CreateContainerConfigError',
      })
    }
    return { profileType: 'Localhost', localhostRef: join(folder, localhostProfile) }
  }
  // As a kubelet with seccompDefault, also for a Pod that says nothing: it shares the machine's kernel with strangers.
  return { profileType: stated?.type === 'Unconfined' ? 'Unconfined' : 'RuntimeDefault' }
}

function appArmorProfile({ type, localhostProfile }: StatedProfile): SecurityProfile {
  if (type === 'Localhost') return { profileType: 'Localhost', localhostRef: localhostProfile ?? '' }
  return { profileType: type === 'Unconfined' ? 'Unconfined' : 'RuntimeDefault' }
}

const largestUserId = 2_147_483_647n

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
  const ofImage = BigInt(image.uid?.value ?? 0)
  if (ofImage === 0n) refuse('container has runAsNonRoot and image will run as root')
  if (ofImage < 0n || ofImage > largestUserId) {
    refuse(
      `container has runAsNonRoot and image has an invalid user id (${ofImage}). (Must be 1-(${largestUserId}))`,
    )
  }
}

function allContainers({ spec }: Pod): readonly Container[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = spec ?? {}
  return [...initContainers, ...containers, ...ephemeralContainers]
}
