import { podSandbox } from '../lifecycle/pod-sandbox.ts'
import type { Capabilities, PodFeature } from '../model/capability.ts'
import type { Node } from '../model/kubernetes.ts'
import type { SandboxChoice } from '../model/sandbox-choice.ts'

type V130NodeStatus = NonNullable<Node['status']>

/** What newer API servers know of a Node's status besides what kubernetes-types has. */
export interface NodeStatus extends V130NodeStatus {
  /** 1.31+ */
  features?: { supplementalGroupsPolicy?: boolean }
  /** 1.35+; sorted. The scheduler keeps Pods off that need one which is not there. */
  declaredFeatures?: string[]
}

/**
 * Kubernetes' names for what we do (component-helpers/nodedeclaredfeatures). Never ExtendWebSocketsToKubelet, whatever
 * kubelet declares: the API server would send exec as WebSockets, which containerd's streaming server refuses.
 */
const declared: readonly (readonly [feature: PodFeature, name: string])[] = [
  ['inPlaceResize', 'InPlacePodLevelResourcesVerticalScaling'],
  ['inPlaceResize', 'InPlacePodVerticalScalingInitContainers'],
  ['restartAllContainers', 'RestartAllContainersOnContainerExits'],
]

/** What the node says that it can do, in as far as a server of that minor version keeps it. */
export function nodeFeatures(
  capabilities: Capabilities,
  { minor, choice }: { readonly minor: number; readonly choice?: SandboxChoice },
): NodeStatus {
  const { features, sandboxHandlers } = capabilities
  // To Kubernetes '' is what Pods without a class get, whichever that is in this pool.
  const byDefault = podSandbox({ choice, runtimeClass: undefined, capabilities })
  const named = sandboxHandlers.filter(({ name, forRuntimeClasses }) => name !== '' && forRuntimeClasses)
  const all = [...(byDefault.ok ? [{ ...byDefault.handler, name: '' }] : []), ...named]
  const runtimeHandlers = all.map(({ name, recursiveReadOnlyMounts, lacks }) => ({
    name,
    features: { recursiveReadOnlyMounts, userNamespaces: !lacks.has('userNamespace') },
  }))
  const declaredFeatures = declared.filter(([feature]) => features.has(feature)).map(([, name]) => name)
  return {
    ...(minor >= 30 && { runtimeHandlers }),
    ...(minor >= 31 && {
      features: { supplementalGroupsPolicy: features.has('supplementalGroupsPolicy') },
    }),
    ...(minor >= 35 && { declaredFeatures: declaredFeatures.sort() }),
  }
}
