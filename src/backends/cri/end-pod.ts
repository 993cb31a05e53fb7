import { rm } from 'node:fs/promises'
import { SpillwayError } from '../../model/errors.ts'
import { stopAll, stopOne, type StopInput } from './kill.ts'
import { kindOf } from './marks.ts'
import type { PodHandle } from './pod-context.ts'
import { removeVolumes } from './volumes/volumes.ts'

/**
 * Ends every process of the Pod: SIGTERM to all containers at once, SIGKILL when the grace is over; sidecars after the
 * containers that they serve, the last to have started first; then the sandboxes, which frees the addresses.
 */
export async function endPod(input: StopInput, signal: AbortSignal): Promise<void> {
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

/** Ends the Pod and gives back what it held on this machine; exit codes and logs stay. Rejects while something runs. */
export async function takeDown(input: StopInput, signal: AbortSignal): Promise<void> {
  const { tools, ref, paths, picture } = input
  await endPod(input, signal)
  if (picture.running.length > 0) {
    throw new SpillwayError('Unavailable', 'a container still runs', { reason: 'FailedKillPod' })
  }
  await removeVolumes({ podDir: paths.podDir, run: tools.shell.run }, signal)
  await tools.cgroups.remove(ref.uid)
  tools.images.forget(ref.uid)
}

/** Removes the evidence of a Pod that was taken down. */
export async function erase({ tools, ref, paths, picture }: PodHandle, signal: AbortSignal): Promise<void> {
  for (const { id } of picture.sandboxes) await tools.client.removeSandbox(id, signal)
  await rm(paths.logDir, { recursive: true, force: true })
  await tools.cgroups.remove(ref.uid)
  // Last: while the directory is there, a new process still knows of the Pod.
  await tools.store.remove(paths.podDir)
}
