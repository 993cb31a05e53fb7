import { safeSysctls } from '../../lifecycle/sysctls.ts'
import type { Capabilities, PodFeature } from '../../model/capability.ts'
import type { Allowance, CriOptions } from './config.ts'
import type { RuntimeFacts } from './runtime/runtime-facts.ts'
import { defaultHandler, sandboxHandlers } from './sandbox-handlers.ts'

/** What is built; everything else is refused at the door with the field's name. Some of it is subject to conditions. */
const features: readonly PodFeature[] = [
  'appArmor',
  'attach',
  'clusterTrustBundle',
  'configMapVolume',
  'downwardApiVolume',
  'emptyDirMemory',
  'emptyDirVolume',
  'ephemeralContainers',
  'exec',
  'execProbe',
  'fsGroup',
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
  'linuxCapability',
  'livenessProbe',
  'localSeccompProfile',
  'mountPropagation',
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
  'userNamespace',
]

/** What an option has to allow, because it reaches beyond the Pod. */
const allowedBy: Partial<Readonly<Record<PodFeature, Allowance>>> = {
  hostIPC: 'hostIPC',
  hostNetwork: 'hostNetwork',
  hostPathVolume: 'hostPath',
  hostPID: 'hostPID',
  hostPort: 'hostPort',
  privileged: 'privileged',
}

export interface CriCapabilitiesInput {
  /** The backend's. */
  readonly name: string
  readonly options: CriOptions
  /** Undefined while the runtime has not answered yet: then only what needs nothing of it. */
  readonly runtime: RuntimeFacts | undefined
  /** As `uname -r` says it. */
  readonly kernelRelease: string
  readonly hasAppArmor: boolean
  readonly hasSeLinux: boolean
}

/** What Pods may use here: by the options, and by what the machine and its runtime can do. Pure. */
export function criCapabilities(input: CriCapabilitiesInput): Capabilities {
  const { options, runtime, kernelRelease } = input
  const unmet = conditionsOf(input).filter(({ feature, holds }) => !holds && features.includes(feature))
  const lacks = new Map(unmet.map(({ feature, why }) => [feature, why]))
  return {
    features: new Set(features.filter((feature) => !lacks.has(feature))),
    lacks,
    sandboxHandlers: sandboxHandlers(options, runtime),
    defaultHandler: defaultHandler(input, runtime),
    linuxCapabilities: options.capabilities ?? [],
    sysctls: [...safeSysctls(kernelRelease), ...(options.unsafeSysctls ?? [])],
  }
}

interface Condition {
  readonly feature: PodFeature
  readonly holds: boolean
  readonly why: string
}

function conditionsOf({ name, options, runtime, ...machine }: CriCapabilitiesInput): Condition[] {
  const option = (field: string, lack: string): string => `options.${field} of backend "${name}" ${lack}`
  const allowed: readonly Allowance[] = options.allow ?? []
  // Where one handler does and another does not, that one's `lacks` say so.
  const userNamespaces = sandboxHandlers(options, runtime).some(({ lacks }) => !lacks.has('userNamespace'))
  const noUserNamespaces = 'the runtime does not support user namespaces'
  return [
    ...features.flatMap((feature): Condition[] => {
      const allowance = allowedBy[feature]
      if (!allowance) return []
      return [{ feature, holds: allowed.includes(allowance), why: option('allow', `lacks "${allowance}"`) }]
    }),
    {
      feature: 'linuxCapability',
      holds: (options.capabilities ?? []).includes('ALL'),
      why: option('capabilities', 'lacks it'),
    },
    {
      feature: 'localSeccompProfile',
      holds: options.seccompProfiles !== undefined,
      why: option('seccompProfiles', 'names no folder'),
    },
    { feature: 'appArmor', holds: machine.hasAppArmor, why: 'the machine has no AppArmor' },
    // Without SELinux its labels mean nothing, and no node minds them: charts set them for machines that have it.
    {
      feature: 'seLinux',
      holds: !machine.hasSeLinux,
      why: 'the machine has SELinux, and no files are labelled here',
    },
    {
      feature: 'supplementalGroupsPolicy',
      holds: runtime?.supplementalGroupsPolicy ?? false,
      why: 'the runtime knows no policy',
    },
    { feature: 'userNamespace', holds: userNamespaces, why: noUserNamespaces },
    // The API server takes an unmasked /proc only together with a user namespace.
    { feature: 'procMount', holds: userNamespaces, why: noUserNamespaces },
  ]
}
