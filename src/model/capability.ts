/**
 * The Pod features that a backend may lack. A Pod that uses one which its node's backend does not have is refused
 * with an event that names it: never ignored in silence. `lifecycle/features.ts` reads them off a Pod.
 */
export const podFeatures = [
  'appArmor',
  'attach',
  'configMapVolume',
  'csiVolume',
  'downwardApiVolume',
  'dynamicResources',
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
  'livenessProbe',
  'mountPropagation',
  'persistentVolumeClaim',
  'podLevelResources',
  'portForward',
  'postStartHook',
  'preStopHook',
  'privileged',
  'procMount',
  'projectedBeyondTokens',
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
  'userNamespace',
  'volumeDevices',
  'windows',
] as const

export type PodFeature = (typeof podFeatures)[number]

/** What a backend can do; static for the life of the process. */
export interface Capabilities {
  readonly features: ReadonlySet<PodFeature>
  /** Names usable as a RuntimeClass handler; '' is the default sandbox. */
  readonly sandboxHandlers: readonly string[]
}

/** One feature that a Pod uses, and the field that asks for it. */
export interface FeatureUse {
  readonly feature: PodFeature
  /** As in `spec.containers[0].lifecycle.postStart`. */
  readonly field: string
}
