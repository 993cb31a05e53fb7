import type { ContainerKill } from '../../../lifecycle/pod-actions.ts'
import type { PodHandle } from './pod-context.ts'

/** Ends single containers of a Pod that goes on, all at once. Answers whether there was any. */
export async function killContainers(
  handle: PodHandle,
  kills: readonly ContainerKill[],
  signal: AbortSignal,
): Promise<boolean> {
  const { picture, notes, stops, tools } = handle
  const outcomes = await Promise.allSettled(
    kills.map(async ({ name, message, graceSeconds, restartAtOnce }) => {
      const seen = picture.running.find(({ status }) => status.metadata.name === name)
      if (!seen) return false
      const { attempt } = seen.status.metadata
      // First: when this process is killed over it, the next one has to know that an end was only half of it.
      if (restartAtOnce) await notes.note(name, attempt, { restartOwed: message })
      const deadlineMs = tools.clock.wallMs() + graceSeconds * 1000
      await stops.stop(handle, { seen, deadlineMs, message }, signal)
      return true
    }),
  )
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  return outcomes.some((outcome) => outcome.status === 'fulfilled' && outcome.value)
}
