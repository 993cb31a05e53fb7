import { setMaxListeners } from 'node:events'
import { launchSpillway } from '../src/cli/embedded-spillway.ts'
import { defaultBackoff, jitteredBackoff } from '../src/control/backoff.ts'
import type { EmbeddedSandbox } from '../src/dev-cluster/cluster-file.ts'
import { down } from '../src/dev-cluster/down.ts'
import type { EmbeddedCluster } from '../src/dev-cluster/embedded-cluster.ts'
import { createTerminalProgress } from '../src/dev-cluster/progress.ts'
import type { RunningCluster } from '../src/dev-cluster/running-cluster.ts'
import { up } from '../src/dev-cluster/up.ts'
import type { KubeApi } from '../src/kube/api.ts'
import { createKubeClient } from '../src/kube/client.ts'
import { loadKubeconfig } from '../src/kube/kubeconfig.ts'
import { systemClock } from '../src/model/clock.ts'
import { silentLog } from '../src/telemetry/log.ts'

export interface BenchCluster extends AsyncDisposable {
  readonly cluster: EmbeddedCluster
  readonly running: RunningCluster
  readonly api: KubeApi
  readonly backoff: (failures: number) => number
}

export interface BenchClusterOptions {
  readonly name: string
  readonly serverCpu: number
  /** Leave it running at the end. */
  readonly keep: boolean
  readonly sandbox: EmbeddedSandbox
}

/** An embedded cluster for one benchmark: made for it unless one of that name is there, and taken down with it. */
export async function openBenchCluster(
  { name, serverCpu, sandbox, keep }: BenchClusterOptions,
  signal: AbortSignal,
): Promise<BenchCluster> {
  setMaxListeners(0, signal)
  const context = {
    environment: process.env,
    processUid: process.getuid?.() ?? 0,
    progress: createTerminalProgress(process.stderr, systemClock),
    clock: systemClock,
    log: silentLog(),
    random: Math.random,
  }
  // Not with the command's signal: the tidying up goes on after Ctrl-C.
  const tidy = async (): Promise<void> => {
    if (!keep) await down({ name }, context, new AbortController().signal)
  }
  try {
    const { cluster, running } = await up(
      { name, serverCpu, sandbox, spillway: launchSpillway },
      context,
      signal,
    )
    const { environment, clock, log, random } = context
    const credentials = await loadKubeconfig({ path: cluster.kubeconfig, environment, clock }, signal)
    const api = createKubeClient({ credentials, userAgent: 'spillway (bench)', clock, log, random })
    return {
      cluster,
      running,
      api,
      backoff: jitteredBackoff(defaultBackoff, random),
      [Symbol.asyncDispose]: async () => {
        await api.close()
        await tidy()
      },
    }
  } catch (error) {
    await tidy()
    throw error
  }
}
