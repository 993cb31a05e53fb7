import type { ContainerKill } from '../../lifecycle/pod-actions.ts'
import { errorMessage, hasCode } from '../../model/errors.ts'
import { kindOf } from './marks.ts'
import type { SeenContainer } from './observe.ts'
import type { PodHandle } from './pod-context.ts'
import type { PodSupport } from './pod-support.ts'

export interface StopInput extends PodHandle {
  /** Asked again for each container: a second `stop` may have shortened it. */
  readonly leftMs: () => number
}

/** Ends single containers of a Pod that goes on. Answers whether there was any. */
export async function killContainers(
  {
    support,
    kills,
    ...handle
  }: PodHandle & {
    readonly support: PodSupport
    readonly kills: readonly ContainerKill[]
  },
  signal: AbortSignal,
): Promise<boolean> {
  for (const { name, message } of kills) {
    handle.tell({ type: 'Normal', reason: 'Killing', message, fieldPath: support.fieldPath(name) })
  }
  const names = new Set(kills.map(({ name }) => name))
  const doomed = handle.picture.running.filter(({ status }) => names.has(status.metadata.name))
  const leftMs = (): number => support.graceSeconds * 1000
  await stopAll({ ...handle, leftMs, tell: () => undefined }, doomed, signal)
  return doomed.length > 0
}

/** SIGTERM to all at once, SIGKILL when the grace is over. */
export async function stopAll(
  input: StopInput,
  containers: readonly SeenContainer[],
  signal: AbortSignal,
): Promise<void> {
  const outcomes = await Promise.allSettled(containers.map((seen) => stopOne(input, seen, signal)))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

export async function stopOne(
  { tools, picture, leftMs, tell }: StopInput,
  { status, sandboxId }: SeenContainer,
  signal: AbortSignal,
): Promise<void> {
  const { name } = status.metadata
  const fieldPath = `spec.${kindOf(status.labels) === 'main' ? 'containers' : 'initContainers'}{${name}}`
  tell({ type: 'Normal', reason: 'Killing', message: `Stopping container ${name}`, fieldPath })
  // A whole second at least, so that SIGTERM comes before SIGKILL at all.
  const seconds = Math.max(Math.ceil(leftMs() / 1000), 1)
  try {
    await tools.client.stopContainer(status.id, seconds, signal)
  } catch (error) {
    if (!hasCode(error, 'NotFound')) {
      const message = `error killing pod: ${errorMessage(error)}`
      tell({ type: 'Warning', reason: 'FailedKillPod', message, fieldPath })
      throw error
    }
  }
  await picture.lookAtContainer(status.id, sandboxId, signal)
}
