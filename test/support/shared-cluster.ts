/** Global set-up of the stories: one embedded cluster with Spillway for all of them, gone when they are over. */
import type { TestProject } from 'vitest/node'
import { adminSocketOf, launchSpillway } from '../../src/cli/embedded-spillway.ts'
import { down } from '../../src/dev-cluster/down.ts'
import { createTerminalProgress } from '../../src/dev-cluster/progress.ts'
import { up, type UpOptions } from '../../src/dev-cluster/up.ts'
import { systemClock } from '../../src/model/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'

export interface SharedCluster {
  readonly name: string
  readonly kubeconfig: string
  /** Path of the program. */
  readonly kubectl: string
  readonly adminSocket: string
  readonly stateDir: string
}

/** A cluster that its starter removes. */
export interface OwnCluster {
  readonly shared: SharedCluster
  readonly remove: () => Promise<void>
}

declare module 'vitest' {
  interface ProvidedContext {
    sharedCluster: SharedCluster
  }
}

const never = new AbortController().signal

/**
 * Stories are mostly about something else than sandboxes, and quicker on runc. With `SPILLWAY_STORY_HANDLER=runsc` all of
 * them are played on gVisor: docs/sandboxes.md lists what then differs.
 */
export const storyHandler = process.env['SPILLWAY_STORY_HANDLER'] === 'runsc' ? 'runsc' : 'runc'
export const storySandbox = storyHandler === 'runsc' ? 'gvisor' : 'runc'

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Given by hand, a cluster that is running is used and left.
  const given = process.env['SPILLWAY_TEST_CLUSTER']
  const { shared, remove } = await startSharedCluster({ name: given ?? `story-${process.pid}` })
  project.provide('sharedCluster', shared)
  return async () => {
    if (!given) await remove()
  }
}

/** Starts a cluster with Spillway, or finds the one of that name. What was begun is removed when it fails. */
export async function startSharedCluster(
  shape: Pick<UpOptions, 'serverNode' | 'virtualNodes' | 'metricsServer'> & { readonly name: string },
): Promise<OwnCluster> {
  const environment = process.env
  const progress = createTerminalProgress(process.stderr, systemClock)
  const context = {
    environment,
    processUid: process.getuid?.() ?? 0,
    progress,
    clock: systemClock,
    log: silentLog(),
    random: Math.random,
  }
  const { name } = shape
  const remove = async (): Promise<void> => void (await down({ name }, context, never))
  try {
    const { cluster, kubectl } = await up(
      { sandbox: storySandbox, ...shape, spillway: launchSpillway },
      context,
      never,
    )
    const shared = {
      name,
      kubeconfig: cluster.kubeconfig,
      kubectl,
      adminSocket: adminSocketOf(cluster),
      stateDir: cluster.stateDir,
    }
    return { shared, remove }
  } catch (error) {
    await remove()
    throw error
  }
}
