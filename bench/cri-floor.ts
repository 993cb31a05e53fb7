import type { CriClient } from '../src/backends/cri/runtime/client.ts'
import type { ContainerConfig, SandboxConfig } from '../src/backends/cri/runtime/cri-types.ts'
import type { Clock } from '../src/model/clock.ts'
import { benchImage } from './pod-watch.ts'

export interface FloorOptions {
  readonly client: CriClient
  readonly handler: string
  /** Of the sandbox; used once. */
  readonly name: string
  readonly clock: Clock
}

/** RunPodSandbox, CreateContainer and StartContainer, and nothing else: no Pod starts faster on this runtime. */
export async function floorMs(
  { client, handler, name, clock }: FloorOptions,
  signal: AbortSignal,
): Promise<number> {
  const sandbox: Pick<SandboxConfig, 'metadata' | 'labels' | 'annotations' | 'linux'> = {
    metadata: { name, namespace: 'floor', uid: `floor-${name}`, attempt: 0 },
    labels: {},
    annotations: {},
    linux: { cgroupParent: '', sysctls: {} } as unknown as SandboxConfig['linux'],
  }
  const container = {
    metadata: { name: 'main', attempt: 0 },
    image: { image: benchImage },
    labels: {},
    annotations: {},
    linux: {},
  } as unknown as ContainerConfig
  const config = sandbox as SandboxConfig
  const beganMs = clock.monotonicMs()
  const sandboxId = await client.runSandbox(config, handler, signal)
  try {
    const id = await client.createContainer(sandboxId, container, config, signal)
    await client.startContainer(id, signal)
    return clock.monotonicMs() - beganMs
  } finally {
    await client.stopSandbox(sandboxId, signal)
    await client.removeSandbox(sandboxId, signal)
  }
}
