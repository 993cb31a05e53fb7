import { errorMessage, hasCode } from '../../model/errors.ts'
import type { PodHappening } from '../backend.ts'
import type { SeenContainer } from './observe.ts'
import { kindOf } from './marks.ts'
import type { CriTools } from './pod-context.ts'
import type { RuntimePicture } from './runtime-picture.ts'

export interface PodEndInput {
  readonly tools: CriTools
  readonly picture: RuntimePicture
  /** Asked again for each container: a second `stop` may have shortened it. */
  readonly leftMs: () => number
  readonly tell: (happening: PodHappening) => void
}

/**
 * Ends every process of the Pod: SIGTERM to all containers at once, SIGKILL when the grace is over; sidecars after the
 * containers that they serve, the last to have started first; then the sandboxes, which frees the addresses.
 */
export async function endPod(input: PodEndInput, signal: AbortSignal): Promise<void> {
  const { tools, picture } = input
  const running = picture.running
  const sidecars = running.filter(({ status }) => kindOf(status.labels) === 'sidecar')
  await stopAll(
    input,
    running.filter((seen) => !sidecars.includes(seen)),
    signal,
  )
  sidecars.sort((a, b) => Number(BigInt(b.status.startedAt) - BigInt(a.status.startedAt)))
  for (const sidecar of sidecars) await stopOne(input, sidecar, signal)
  await Promise.all(
    picture.sandboxes.map(async ({ id }) => {
      // Also one that is not ready: its making may have been broken off (its caller was killed), and then containerd
      // shows it so while its address is still taken, which the stop gives back. On a stopped one it does nothing.
      await tools.client.stopSandbox(id, signal)
      await picture.lookAtSandbox(id, signal)
    }),
  )
}

export async function stopAll(
  input: PodEndInput,
  containers: readonly SeenContainer[],
  signal: AbortSignal,
): Promise<void> {
  const outcomes = await Promise.allSettled(containers.map((seen) => stopOne(input, seen, signal)))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

async function stopOne(
  { tools, picture, leftMs, tell }: PodEndInput,
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
