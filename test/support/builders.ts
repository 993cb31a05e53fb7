import { podFeatures, type Capabilities, type SandboxHandler } from '../../src/model/capability.ts'
import type { Container, Node, Pod, PodSpec, PodStatus } from '../../src/model/kubernetes.ts'
import { asPodUid, type PodUid } from '../../src/model/pod-key.ts'
import type { NodePool } from '../../src/node/node-object.ts'

export interface PodOverrides {
  readonly uid?: string
  readonly namespace?: string
  readonly name?: string
  readonly metadata?: Readonly<Pod['metadata']>
  readonly spec?: Partial<PodSpec>
  readonly status?: PodStatus
}

/** A Pod as the API server would hand it over: one container `main`, bound to `burst-0`. */
export function aPod({ uid, namespace, name, metadata, spec, status }: PodOverrides = {}): Pod {
  const podName = name ?? 'web'
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      uid: uid ?? `uid-of-${podName}`,
      namespace: namespace ?? 'default',
      name: podName,
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: {
      containers: [aContainer()],
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      nodeName: 'burst-0',
      ...spec,
    },
    ...(status && { status }),
  }
}

export function aContainer(overrides: Partial<Container> = {}): Container {
  return { name: 'main', image: 'docker.io/library/busybox:1.37', ...overrides }
}

export function uidOf(pod: Pod): PodUid {
  return asPodUid(pod.metadata?.uid ?? '')
}

export interface NodeOverrides {
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly spec?: Node['spec']
  readonly allocatable?: Readonly<Record<string, string>>
}

/** A virtual node with its usual labels and room for 110 Pods, 8 processors and 32 GiB. */
export function aNode({ name = 'burst-0', labels, spec, allocatable }: NodeOverrides = {}): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'spillway.dev/pool': 'burst',
        type: 'virtual-kubelet',
        ...labels,
      },
    },
    spec: spec ?? {},
    status: {
      allocatable: { cpu: '8', memory: '32Gi', 'ephemeral-storage': '100Gi', pods: '110', ...allocatable },
    },
  }
}

/** A pool as its nodes know it, of which nothing is said. */
export function aNodePool(overrides: Partial<NodePool> = {}): NodePool {
  return {
    name: 'burst',
    labels: {},
    taints: [],
    untainted: false,
    cordoned: false,
    sandbox: { byDefault: undefined, byClass: {} },
    ...overrides,
  }
}

/** A backend that does everything on its default sandbox; without kernel parameters, until a test allows some. */
export function capabilities(overrides: Partial<Capabilities> = {}): Capabilities {
  return {
    features: new Set(podFeatures),
    sandboxHandlers: [aHandler()],
    defaultHandler: { name: '' },
    linuxCapabilities: [],
    sysctls: [],
    ...overrides,
  }
}

/** Of a backend that has no other, with everything, unless said otherwise. */
export function aHandler(overrides: Partial<SandboxHandler> = {}): SandboxHandler {
  return {
    name: '',
    kind: 'simulated',
    forRuntimeClasses: true,
    recursiveReadOnlyMounts: true,
    userNamespaces: true,
    lacks: new Map(),
    ...overrides,
  }
}
