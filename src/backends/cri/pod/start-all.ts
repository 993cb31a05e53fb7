import type { ContainerStart } from '../../../lifecycle/pod-actions.ts'
import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import type { PodHandle } from './pod-context.ts'
import type { PodSupport } from './pod-support.ts'
import { removeOldAttempts, startContainer } from './start-container.ts'
import { plannedContainers } from '../translate/translate.ts'

export interface StartAllInput extends PodHandle {
  readonly support: PodSupport
  readonly starts: readonly ContainerStart[]
  /** Aborted when the Pod is to end: nothing more is started then. */
  readonly waits: AbortSignal
  readonly onStarted: (name: string) => void
  readonly onFailed: (name: string, error: unknown) => void
}

/**
 * In the order of the spec; one that cannot be started does not keep the next from it. Rejects for what holds up all of
 * them.
 */
export async function startAll(input: StartAllInput, signal: AbortSignal): Promise<void> {
  const { support, starts, waits, onStarted, onFailed } = input
  const { pod, sources } = support
  const isolated = isolate(input, signal)
  // Whoever waits for it tells of its failure.
  isolated.catch(() => undefined)
  const volumes = await support.volumes(waits)
  for (const { name, attempt, backoffMs } of starts) {
    if (waits.aborted) return
    const planned = plannedContainers(pod).find(({ plan }) => plan.name === name)
    if (!planned) continue
    try {
      const image = (inner: AbortSignal) => support.image(planned, inner)
      const volumeImages = (inner: AbortSignal) => support.volumeImages(planned, inner)
      const files = (free: number) => support.files(name, free)
      const own = { pod, sources, planned, attempt, backoffMs, volumes, image, files, volumeImages, isolated }
      await startContainer({ ...input, ...own }, signal)
      onStarted(name)
    } catch (error) {
      // Its failure is that of all of them.
      await isolated
      if (waits.aborted) return
      onFailed(name, error)
    }
  }
  // Behind the hot path: what only keeps the disk tidy.
  for (const { name } of starts) await removeOldAttempts(input, name, signal)
}

/** Nothing of the Pod runs before what it sends is held to our rules. */
async function isolate({ tools, picture }: StartAllInput, signal: AbortSignal): Promise<void> {
  const sandbox = picture.current
  // One that is lost meanwhile is told of by whoever makes the container.
  if (sandbox?.state !== 'SANDBOX_READY') return
  try {
    await tools.network.admit(sandbox, signal)
  } catch (error) {
    if (signal.aborted || picture.current?.state !== 'SANDBOX_READY') throw error
    const code = error instanceof SpillwayError ? error.code : 'Unavailable'
    const message = `Failed to isolate pod sandbox: ${errorMessage(error)}`
    throw new SpillwayError(code, message, { reason: 'FailedCreatePodSandBox', cause: error })
  }
}
