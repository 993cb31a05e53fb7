import { rm } from 'node:fs/promises'
import { endsBefore } from '../../../lifecycle/termination-order.ts'
import { SpillwayError } from '../../../model/errors.ts'
import { kindOf, type ContainerPlan } from '../marks.ts'
import { isDiskFull } from '../whole-file.ts'
import { isNeverBegun } from '../runtime/containerd-tasks.ts'
import { despiteDeafShims } from './deaf-shims.ts'
import type { PodHandle } from './pod-context.ts'
import type { Ending } from './pod-store.ts'
import { removeVolumes } from '../volumes/volumes.ts'

// Longer than a sandbox takes to be stopped, its network included, on a busy machine.
const lookAgainMs = 5_000

export interface PodEndInput extends PodHandle {
  /** Wall time at which the grace of all is over. */
  readonly deadlineMs: number
  /** In the order of the spec. */
  readonly plans: readonly ContainerPlan[]
}

/**
 * Ends every process of the Pod: preStop hooks and SIGTERM for all containers at once, but that sidecars wait with
 * their SIGTERM for those that they serve; SIGKILL when the grace is over; then the sandboxes, which frees the
 * addresses.
 */
export async function endPod(input: PodEndInput, signal: AbortSignal): Promise<void> {
  await despiteDeafShims(input, () => endAll(input, signal), signal)
}

async function endAll(input: PodEndInput, signal: AbortSignal): Promise<void> {
  const { tools, picture } = input
  const left = (): string[] => picture.running.map(({ status }) => status.id)
  await despiteNeverBegun(input, { stop: () => endContainers(input, signal), left }, signal)
  await Promise.all(
    picture.sandboxes.map(async ({ id }) => {
      // Also one that is not ready: its making may have been broken off (its caller was killed), and then containerd
      // shows it so while its address is still taken, which the stop gives back. On a stopped one it does nothing.
      await stopSandbox(input, id, signal)
      tools.network.release(id)
      await picture.lookAtSandbox(id, signal)
    }),
  )
}

async function stopSandbox(handle: PodHandle, id: string, signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  removeOnceEmpty(handle, id, AbortSignal.any([signal, over.signal])).catch(() => undefined)
  const stop = (): Promise<void> => handle.tools.client.stopSandbox(id, signal)
  try {
    await despiteNeverBegun(handle, { stop, left: () => [id] }, signal)
  } finally {
    over.abort()
  }
}

/**
 * Stops once more when something was never started: by then all else has ended that was to be stopped, so that what the
 * Pod's cgroup still has is killed, and the tasks that are left go.
 */
async function despiteNeverBegun(
  { tools, ref }: PodHandle,
  { stop, left }: { readonly stop: () => Promise<void>; readonly left: () => readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  try {
    await stop()
  } catch (error) {
    if (!isNeverBegun(error)) throw error
    await tools.cgroups.kill(ref.uid)
    for (const id of left()) await tools.client.removeTask(id, signal)
    await stop()
  }
}

/**
 * containerd waits for the end of what it stops. After it was killed itself runsc's shim may tell none, though no process is
 * left: then the task is removed, and it waits no longer.
 */
async function removeOnceEmpty({ tools, ref }: PodHandle, id: string, signal: AbortSignal): Promise<void> {
  do await tools.clock.sleep(lookAgainMs, signal)
  while (!(await tools.cgroups.isEmpty(ref.uid, id)))
  signal.throwIfAborted()
  await tools.client.removeTask(id, signal)
}

async function endContainers(input: PodEndInput, signal: AbortSignal): Promise<void> {
  const { picture, plans, stops, deadlineMs } = input
  const place = (name: string): number => plans.findIndex((plan) => plan.name === name)
  const running = picture.running
    .map((seen) => ({ seen, name: seen.status.metadata.name, kind: kindOf(seen.status.labels) }))
    .sort((a, b) => place(a.name) - place(b.name))
  const ends = new Map(running.map(({ name }) => [name, Promise.withResolvers<void>()]))
  const outcomes = await Promise.allSettled(
    running.map(async ({ seen, name }) => {
      const before = endsBefore(name, running).flatMap((other) => ends.get(other)?.promise ?? [])
      const turn = before.length > 0 ? Promise.all(before).then(() => undefined) : undefined
      const wish = { seen, deadlineMs, message: `Stopping container ${name}`, ...(turn && { turn }) }
      await stops.stop(input, wish, signal).finally(() => ends.get(name)?.resolve())
    }),
  )
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

/** Ends the Pod and gives back what it held on this machine; exit codes and logs stay. Rejects while something runs. */
export async function takeDown(input: PodEndInput, signal: AbortSignal): Promise<void> {
  const { tools, ref, paths, picture } = input
  await endPod(input, signal)
  if (picture.running.length > 0) {
    throw new SpillwayError('Unavailable', 'a container still runs', { reason: 'FailedKillPod' })
  }
  await removeVolumes({ podDir: paths.podDir, run: tools.shell.run }, signal)
  await tools.cgroups.remove(ref.uid)
  tools.images.forget(ref.uid)
}

/**
 * Who fills the disk must not be saved by that. After a crash the end is asked for again: by the Pod's object or its
 * status, by the exits that it was decided from, or as an orphan's.
 */
export async function noteEnding({ tools, ref, paths }: PodHandle, ending: Ending): Promise<void> {
  try {
    await tools.store.writeEnding(paths.podDir, ending)
  } catch (error) {
    if (!isDiskFull(error)) throw error
    tools.log.warn({ pod: ref.uid }, 'the disk is full: the end of the Pod is not noted on it')
  }
}

/** Removes the evidence of a Pod that was taken down. */
export async function erase({ tools, ref, paths, picture }: PodHandle, signal: AbortSignal): Promise<void> {
  for (const { id } of picture.sandboxes) await tools.client.removeSandbox(id, signal)
  await rm(paths.logDir, { recursive: true, force: true })
  await tools.cgroups.remove(ref.uid)
  // Last: while the directory is there, a new process still knows of the Pod.
  await tools.store.remove(paths.podDir)
}
