import type { KubeApi } from '../../kube/api.ts'
import { runtimeClasses } from '../../kube/resources.ts'
import { sandboxOverheads } from '../../model/sandbox-overhead.ts'
import { ensureObject } from '../ensure-object.ts'

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
      overhead: { podFixed: { ...sandboxOverheads.gvisor } },
    },
    signal,
  )
}
