import type { KubeApi } from '../../kube/api.ts'
import { runtimeClasses } from '../../kube/resources.ts'
import { ensureObject } from '../ensure-object.ts'

/** What a sandbox takes besides its containers (docs/benchmarks.md): the kernel of its own, and its file server. */
export const gvisorOverhead = { cpu: '10m', memory: '48Mi' } as const

/** Lets Pods ask for gVisor by `runtimeClassName: gvisor`, as on most clusters that have it. */
export async function publishGvisor(client: KubeApi, signal: AbortSignal): Promise<void> {
  await ensureObject(
    client,
    runtimeClasses,
    {
      apiVersion: 'node.k8s.io/v1',
      kind: 'RuntimeClass',
      metadata: { name: 'gvisor' },
      handler: 'runsc',
      overhead: { podFixed: { ...gvisorOverhead } },
    },
    signal,
  )
}
