/**
 * The Pod features that a backend may lack. A Pod that uses one which its node's backend does not have is refused
 * with an event that names it: never ignored in silence. `lifecycle/features.ts` reads them off a Pod.
 */
export const podFeatures = [
  'appArmor',
  'attach',
  'bidirectionalMountPropagation',
  'bindMountOptions',
  'clusterTrustBundle',
  'configMapVolume',
  'csiVolume',
  'downwardApiVolume',
  'dynamicResources',
  'emptyDirHugePages',
  'emptyDirMemory',
  'emptyDirVolume',
  'ephemeralContainers',
  'ephemeralVolume',
  'exec',
  'execProbe',
  'fsGroup',
  'gpu',
  'grpcProbe',
  'hostAliases',
  'hostIPC',
  'hostNetwork',
  'hostPathVolume',
  'hostPID',
  'hostPort',
  'httpProbe',
  'imageVolume',
  'initContainers',
  'inPlaceResize',
  'legacyNetworkVolume',
  'linuxCapability',
  'livenessProbe',
  'localSeccompProfile',
  'mountPropagation',
  'persistentVolumeClaim',
  'podCertificate',
  'podLevelResources',
  'portForward',
  'postStartHook',
  'preStopHook',
  'privileged',
  'procMount',
  'readinessProbe',
  'recursiveReadOnly',
  'restartAllContainers',
  'restartPolicyRules',
  'runtimeClass',
  'seccomp',
  'secretVolume',
  'seLinux',
  'serviceAccountToken',
  'shareProcessNamespace',
  'sidecarContainers',
  'startupProbe',
  'stopSignal',
  'subPath',
  'subPathExpr',
  'supplementalGroupsPolicy',
  'sysctls',
  'tcpProbe',
  'unconfinedSeccomp',
  'unknownProjection',
  'userNamespace',
  'volumeDevices',
  'windows',
] as const

export type PodFeature = (typeof podFeatures)[number]

/** What a backend can do, as far as it knows: its options, and what its runtime said when it last answered. */
export interface Capabilities {
  readonly features: ReadonlySet<PodFeature>
  /** Of features that are not there: why, and what would bring them. Told in the refusal. */
  readonly lacks?: ReadonlyMap<PodFeature, string>
  /** What sandboxes may be made by. */
  readonly sandboxHandlers: readonly SandboxHandler[]
  /** Which of them pools get that choose none; or why such a pool can start nothing, in a sentence that says what would help. */
  readonly defaultHandler: DefaultHandler
  /** Linux capabilities that a container may add without the feature `linuxCapability`, which allows all: `NET_ADMIN`. */
  readonly linuxCapabilities: readonly string[]
  /** Kernel parameters that a Pod may set: names with dots, or beginnings that end in `*`. */
  readonly sysctls: readonly string[]
}

/** Undefined reason: the runtime has not been asked yet. */
export type DefaultHandler = { readonly name: string } | { readonly none: string | undefined }

/**
 * What stands between the Pod and its machine: `gvisor` a kernel of its own in user space, `kata` a virtual machine, `runc`
 * nothing but the machine's kernel, `simulated` no container at all. `unknown`: the runtime does not say.
 */
export const sandboxKinds = ['gvisor', 'kata', 'runc', 'simulated', 'unknown'] as const

export type SandboxKind = (typeof sandboxKinds)[number]

export interface SandboxHandler {
  /** As the runtime has it; '' where there is only one. */
  readonly name: string
  readonly kind: SandboxKind
  /** A Pod may have it by the RuntimeClass that it names; the others only pools may choose. */
  readonly forRuntimeClasses: boolean
  readonly recursiveReadOnlyMounts: boolean
  readonly userNamespaces: boolean
  /** What a Pod cannot have in such a sandbox, and why, in plain words. */
  readonly lacks: ReadonlyMap<PodFeature, string>
}

/** One feature that a Pod uses, and the field that asks for it. */
export interface FeatureUse {
  readonly feature: PodFeature
  /** As in `spec.containers[0].lifecycle.postStart`. */
  readonly field: string
  /** Which of several, where the feature is a family: `NET_ADMIN`. */
  readonly value?: string
}
