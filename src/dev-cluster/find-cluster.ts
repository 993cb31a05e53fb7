import type { Clock } from '../model/clock.ts'
import type { Environment } from './cache-dir.ts'
import { readClusterFile, type ClusterFile } from './cluster-file.ts'
import { checkClusterName, clusterLayout, defaultClusterName } from './cluster-layout.ts'
import { commandOptions } from './down.ts'
import { describeCluster, type EmbeddedCluster } from './embedded-cluster.ts'
import { isRunning } from './process.ts'
import { RunningCluster } from './running-cluster.ts'

export interface FoundCluster {
  readonly cluster: EmbeddedCluster
  readonly phase: ClusterFile['phase']
  /** By name: whether it runs. All false after a reboot. */
  readonly components: Readonly<Record<string, boolean>>
}

/** A cluster that `up` made, running or not; undefined when there is none. Rejects with Environment without root. */
export async function findCluster(name = defaultClusterName): Promise<FoundCluster | undefined> {
  checkClusterName(name)
  const file = await readClusterFile(name)
  if (file === undefined) return undefined
  const components: Record<string, boolean> = {}
  for (const [component, { process }] of Object.entries(file.components)) {
    components[component] = process !== undefined && (await isRunning(process))
  }
  const cluster = describeCluster(clusterLayout(file.name, file.index), file.shape)
  return { cluster, phase: file.phase, components }
}

/**
 * A handle on a cluster's components, to kill and start them one by one, and to run commands inside. Undefined when
 * there is no such cluster. Only for one user at a time, and not while `up` or `down` works on it.
 */
export async function attachToCluster(
  name: string,
  { environment, clock }: { readonly environment: Environment; readonly clock: Clock },
): Promise<RunningCluster | undefined> {
  checkClusterName(name)
  const file = await readClusterFile(name)
  return file === undefined
    ? undefined
    : new RunningCluster(file, { command: commandOptions(environment), clock })
}
