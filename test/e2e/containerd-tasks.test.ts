import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CriClient } from '../../src/backends/cri/runtime/client.ts'
import type { ContainerConfig, SandboxConfig } from '../../src/backends/cri/runtime/cri-types.ts'
import {
  busyboxImage,
  missingForContainerd,
  startPrivateContainerd,
  type PrivateContainerd,
} from '../support/private-containerd.ts'

const missing = missingForContainerd()

describe.skipIf(missing.length > 0)('a task that belongs to nobody', () => {
  const { signal } = new AbortController()
  let runtime: PrivateContainerd
  let client: CriClient
  let serial = 0
  let sandboxId: string
  let containerId: string

  beforeAll(async () => {
    runtime = await startPrivateContainerd({ bridge: 'swcri9', subnet: '10.246.9.0/24' })
    client = runtime.client
  })

  afterAll(async () => {
    await runtime?.destroy()
  })

  // As it is after a StartContainer that was broken off: for the CRI the container does not run, its task does.
  beforeEach(async () => {
    serial += 1
    const sandbox: SandboxConfig = {
      metadata: { name: `pod-${serial}`, namespace: 'default', uid: `uid-${serial}`, attempt: 0 },
      labels: {},
      annotations: {},
      linux: { cgroupParent: '', sysctls: {} },
    } as unknown as SandboxConfig
    sandboxId = await client.runSandbox(sandbox, '', signal)
    const container = {
      metadata: { name: 'main', attempt: 0 },
      image: { image: busyboxImage },
      command: ['sleep', '600'],
      labels: {},
      annotations: {},
      linux: {},
    } as unknown as ContainerConfig
    containerId = await client.createContainer(sandboxId, container, sandbox, signal)
    await runtime.startTask(containerId)
  })

  it('does not keep its container from being removed', async () => {
    await client.removeContainer(containerId, signal)
    expect(await client.listContainers({}, signal)).toEqual([])
    await client.stopSandbox(sandboxId, signal)
    await client.removeSandbox(sandboxId, signal)
  })

  it('does not keep its sandbox from being removed', async () => {
    await client.stopSandbox(sandboxId, signal)
    await client.removeSandbox(sandboxId, signal)
    expect(await client.listContainers({}, signal)).toEqual([])
    expect(await client.listSandboxes({}, signal)).toEqual([])
  })
})
