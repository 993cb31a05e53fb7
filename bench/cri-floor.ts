import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CriClient } from '../src/backends/cri/runtime/client.ts'
import type { ContainerConfig, SandboxConfig } from '../src/backends/cri/runtime/cri-types.ts'
import type { Clock } from '../src/model/clock.ts'
import { benchImage } from './pod-watch.ts'

export interface FloorOptions {
  readonly client: CriClient
  readonly handler: string
  /** Of the sandbox; used once. */
  readonly name: string
  /** For what is mounted; made when it is not there. */
  readonly dir: string
  readonly clock: Clock
}

/**
 * RunPodSandbox, CreateContainer and StartContainer, and nothing else: no Pod starts faster on this runtime. The container
 * has what one of a Pod has besides: the system call filter, a file of hosts, one for its last words, a folder with a
 * token. Each mount costs gVisor something.
 */
export async function floorMs(
  { client, handler, name, dir, clock }: FloorOptions,
  signal: AbortSignal,
): Promise<number> {
  const linux = { securityContext: { seccomp: { profileType: 'RuntimeDefault' } } }
  const sandbox = {
    metadata: { name, namespace: 'floor', uid: `floor-${name}`, attempt: 0 },
    hostname: name,
    labels: {},
    annotations: {},
    linux: { cgroupParent: '', sysctls: {}, ...linux },
  }
  const container = {
    metadata: { name: 'main', attempt: 0 },
    image: { image: benchImage },
    mounts: await mountsIn(dir),
    labels: {},
    annotations: {},
    linux,
  } as unknown as ContainerConfig
  const config = sandbox as unknown as SandboxConfig
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

async function mountsIn(dir: string): Promise<ContainerConfig['mounts']> {
  const files = { hosts: '/etc/hosts', words: '/dev/termination-log' }
  const token = join(dir, 'token')
  await mkdir(token, { recursive: true })
  for (const name of Object.keys(files)) await writeFile(join(dir, name), '')
  const propagation = 'PROPAGATION_PRIVATE' as const
  return [
    ...Object.entries(files).map(([name, containerPath]) => ({
      containerPath,
      hostPath: join(dir, name),
      readonly: false,
      propagation,
    })),
    {
      containerPath: '/var/run/secrets/kubernetes.io/serviceaccount',
      hostPath: token,
      readonly: true,
      propagation,
    },
  ]
}
