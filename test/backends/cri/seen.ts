import type { ObserveInput, SeenContainer } from '../../../src/backends/cri/pod/observe.ts'
import type { ContainerStatus, SandboxStatus } from '../../../src/backends/cri/runtime/cri-types.ts'
import { podRef } from '../../../src/model/pod-key.ts'
import { aPod } from '../../support/builders.ts'

/** When everything here was made, in nanoseconds, and the same in milliseconds. */
export const createdAt = '1767225600123456789'
export const createdAtMs = 1_767_225_600_123

/** A sandbox as the runtime tells it; its id is `sandbox-<attempt>`. */
export function sandbox(attempt = 0, overrides: Partial<SandboxStatus> = {}): SandboxStatus {
  return {
    id: `sandbox-${attempt}`,
    metadata: { name: 'web', uid: 'uid-of-web', namespace: 'default', attempt },
    state: 'SANDBOX_READY',
    createdAt,
    network: { ip: '10.0.0.7', additionalIps: [{ ip: 'fd00::7' }] },
    labels: {},
    annotations: {},
    ...overrides,
  }
}

/** One attempt of the container `main`, which runs; its id is `container-<attempt>`. */
export function attempt(
  number: number,
  status: Partial<ContainerStatus> = {},
  more: Partial<SeenContainer> = {},
): SeenContainer {
  return {
    sandboxId: 'sandbox-0',
    ...more,
    status: {
      id: `container-${number}`,
      metadata: { name: 'main', attempt: number },
      state: 'CONTAINER_RUNNING',
      createdAt,
      startedAt: String(BigInt(createdAt) + 1_000_000_000n),
      finishedAt: '0',
      exitCode: 0,
      user: null,
      image: { image: 'sha256:abc', userSpecifiedImage: 'docker.io/library/busybox:1.37' },
      imageRef: 'docker.io/library/busybox@sha256:abc',
      imageId: 'sha256:abc',
      reason: '',
      message: '',
      labels: {},
      annotations: {},
      logPath: '',
      stopSignal: 'SIGNAL_RUNTIME_DEFAULT',
      mounts: [],
      resources: null,
      ...status,
    },
  }
}

/** Of an attempt that ran for two seconds. */
export const ended = {
  state: 'CONTAINER_EXITED',
  finishedAt: String(BigInt(createdAt) + 3_000_000_000n),
} as const

/** The Pod `web` of `aPod`, supervised, in a sandbox without containers. */
export function observeInput(overrides: Partial<ObserveInput> = {}): ObserveInput {
  return {
    ref: podRef(aPod()),
    nodeName: 'burst-0',
    supervised: true,
    generation: 3,
    plans: [{ name: 'main', kind: 'main', image: 'docker.io/library/busybox:1.37' }],
    view: { sandboxes: [sandbox()], containers: [] },
    waiting: new Map(),
    wellness: new Map(),
    notes: { of: () => ({}), restartedAll: {} },
    restartingAll: false,
    trouble: undefined,
    allocation: undefined,
    ending: 'no',
    ...overrides,
  }
}
