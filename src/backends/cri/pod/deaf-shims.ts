import { errorMessage } from '../../../model/errors.ts'
import { killProcess } from '../resources/kill-process.ts'
import { sigkill, type TaskSignal } from '../runtime/containerd-tasks.ts'
import { isTimeout } from '../runtime/errors.ts'
import { shimsOf } from '../runtime/shims.ts'
import type { PodHandle } from './pod-context.ts'

// Beyond the grace: longer than a SIGKILL takes to be carried out and told of, on a busy machine.
const patienceMs = 15_000
const longestSilenceMs = 60_000

interface EndingPod extends PodHandle {
  /** Wall time at which the grace of all is over. */
  readonly deadlineMs: number
}

/**
 * Carries out what ends a Pod, and kills shims that do not carry out their part of it: whatever containerd is asked comes to
 * nothing there, so that the Pod would never end. runsc's hangs when containerd is killed while it starts a container
 * (`delete` in pkg/shim/v1/proc/init.go waits for output whose other end it has open itself). containerd sees that a shim has
 * gone, and gives back what it had.
 */
export async function despiteDeafShims(
  pod: EndingPod,
  end: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  // What asks a shim may wait without an end, or be broken off by containerd each time.
  killAgainAndAgain(pod, AbortSignal.any([signal, over.signal])).catch(() => undefined)
  try {
    await end()
  } catch (error) {
    if (leftMs(pod) <= 0) await killDeafShims(pod, sigkill, signal)
    throw error
  } finally {
    over.abort()
  }
}

async function killAgainAndAgain(pod: EndingPod, signal: AbortSignal): Promise<void> {
  await pod.tools.clock.sleep(Math.max(leftMs(pod), patienceMs), signal)
  for (;;) {
    await killDeafShims(pod, sigkill, signal)
    await pod.tools.clock.sleep(patienceMs, signal)
  }
}

/** Until somebody who hears would have ended. */
function leftMs({ tools, deadlineMs }: EndingPod): number {
  return deadlineMs + patienceMs - tools.clock.wallMs()
}

/** Kills shims of a Pod that goes on, when the runtime has broken off each try for so long for want of an answer. */
export async function breakSilence(pod: PodHandle, silentMs: number, signal: AbortSignal): Promise<void> {
  if (silentMs < longestSilenceMs) return
  try {
    await killDeafShims(pod, 0, signal)
  } catch (error) {
    const fields = { pod: pod.ref.uid, error: errorMessage(error) }
    if (!signal.aborted) pod.tools.log.warn(fields, 'the shims of the Pod cannot be asked')
  }
}

/**
 * Asks the shims of a Pod by a signal for each of their tasks, 0 where they are to go on; kills those that do not answer,
 * and with them all that they have running.
 */
async function killDeafShims(handle: PodHandle, question: TaskSignal, signal: AbortSignal): Promise<void> {
  const { tools, ref, picture, tell } = handle
  for (const { id } of picture.sandboxes) {
    if (!(await isDeaf(handle, { sandboxId: id, question }, signal))) continue
    // First what it should have killed: without their shim, processes of containers would go on.
    await tools.cgroups.kill(ref.uid)
    for (const pid of await shimsOf(id)) {
      const message = `error killing pod: the runtime's shim (process ${pid}) does not answer, and is killed`
      tools.log.warn({ pod: ref.uid, sandbox: id, pid }, message)
      tell({ type: 'Warning', reason: 'FailedKillPod', message })
      killProcess(pid)
    }
  }
}

/** Whether one of its tasks cannot even be given a signal, though containerd itself answers. */
async function isDeaf(
  { tools, picture }: PodHandle,
  { sandboxId, question }: { readonly sandboxId: string; readonly question: TaskSignal },
  signal: AbortSignal,
): Promise<boolean> {
  const { client } = tools
  const containers = picture.kept.filter((seen) => seen.sandboxId === sandboxId)
  for (const id of [sandboxId, ...containers.map(({ status }) => status.id)]) {
    // An error also of what has ended, and of a containerd that is away: neither takes its time.
    const answer = await client.signalTask(question, id, signal).catch((error: unknown) => error)
    signal.throwIfAborted()
    if (!isTimeout(answer)) continue
    return await client.version(signal).then(
      () => true,
      () => false,
    )
  }
  return false
}
