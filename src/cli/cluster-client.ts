import { findCluster } from '../dev-cluster/find-cluster.ts'
import { createKubeClient } from '../kube/client.ts'
import { loadKubeconfig } from '../kube/kubeconfig.ts'
import type { KubeApi } from '../kube/api.ts'
import { SpillwayError } from '../model/errors.ts'
import { version } from '../model/version.ts'
import { silentLog } from '../telemetry/log.ts'
import type { CliContext } from './context.ts'
import type { GlobalOptions } from './global-options.ts'

/**
 * The cluster as the user: by `--kubeconfig`, else `$KUBECONFIG`, else the embedded cluster of `--name`. Rejects with
 * Usage when there is none of them, or with ConfigInvalid.
 */
export async function clusterAsUser(
  options: GlobalOptions,
  context: CliContext,
): Promise<KubeApi & { close(): Promise<void> }> {
  const { environment, clock, random, signal } = context
  const path = options.kubeconfig ?? environment['KUBECONFIG'] ?? (await embeddedKubeconfig(options.name))
  if (path === undefined) {
    throw new SpillwayError(
      'Usage',
      '--kubeconfig: missing; give one, or set KUBECONFIG, or start a cluster with npm run up',
    )
  }
  const credentials = await loadKubeconfig({ path, environment, clock }, signal)
  return createKubeClient({
    credentials,
    userAgent: `spillway/${version} (cli)`,
    clock,
    random,
    log: silentLog(),
  })
}

async function embeddedKubeconfig(name: string): Promise<string | undefined> {
  return (await findCluster(name))?.cluster.kubeconfig
}
