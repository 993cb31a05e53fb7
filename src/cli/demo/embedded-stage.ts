import { join } from 'node:path'
import { down } from '../../dev-cluster/down.ts'
import { findCluster } from '../../dev-cluster/find-cluster.ts'
import { up } from '../../dev-cluster/up.ts'
import { askAdmin } from '../admin-client.ts'
import type { CliContext } from '../context.ts'
import { devContext } from '../dev-context.ts'
import { adminSocketOf, launchSpillway } from '../embedded-spillway.ts'
import { formatDuration } from '../times.ts'
import type { Claims } from './claims.ts'
import type { Output } from '../output.ts'
import { podTraces } from './pod-traces.ts'
import { openStage, type OpenedStage } from './open-stage.ts'

export interface EmbeddedStageOptions {
  readonly name: string
  /** Leave the cluster running for a look around. */
  readonly keep: boolean
  readonly output: Output
  readonly claims: Claims
}

/** The story's real stage: the embedded cluster, made for it unless it was there. */
export async function openEmbeddedStage(
  { name, keep, output, claims }: EmbeddedStageOptions,
  context: CliContext,
): Promise<OpenedStage> {
  const dev = devContext(context)
  const { processUid } = dev
  const existed = processUid === 0 && (await findCluster(name)) !== undefined
  // Not with the command's signal: Ctrl-C is what ends the story, and the tidying up goes on after it.
  const tidy = async (): Promise<void> => {
    if (!existed && !keep) await down({ name }, dev, new AbortController().signal)
  }
  try {
    const { cluster, running, kubectl, started, startMs } = await up(
      { name, spillway: launchSpillway },
      dev,
      context.signal,
    )
    const how = started.length > 0 ? `ready after ${formatDuration(startMs)}` : 'was running already'
    output.line(
      `Cluster "${name}": Kubernetes, one server of 1 core (${cluster.serverNode}), virtual nodes ${cluster.virtualNodes.map((node) => node.name).join(', ')}; ${how}.`,
    )
    const stage = await openStage(
      {
        kubeconfig: cluster.kubeconfig,
        kubectl,
        serverNode: cluster.serverNode ?? 'server-0',
        simulated: false,
        traces: async (pod) =>
          podTraces({
            podUid: pod.metadata?.uid ?? '',
            podIp: pod.status?.podIP,
            namespacePid: running.namespace.init.pid,
            addressDir: join(cluster.virtualContainerd.cniStateDir),
          }),
        admin: (path, query) => askAdmin({ target: adminSocketOf(cluster) }, path, query, context.signal),
        output,
        claims,
      },
      context,
    )
    return {
      stage: stage.stage,
      close: async () => {
        await stage.close()
        await tidy()
      },
    }
  } catch (error) {
    await tidy()
    throw error
  }
}
