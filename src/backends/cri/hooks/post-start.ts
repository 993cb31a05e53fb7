import { errorMessage } from '../../../model/errors.ts'
import { nanosToMs } from '../runtime/cri-types.ts'
import { isRuntimeGone } from '../runtime/errors.ts'
import { execInContainer } from '../runtime/exec-in-container.ts'
import { fieldPathOf } from '../marks.ts'
import type { SeenContainer } from '../pod/observe.ts'
import type { PodHandle } from '../pod/pod-context.ts'
import type { PlannedContainer } from '../translate/translate.ts'
import { runHook } from './run-hook.ts'

export interface PostStartInput extends PodHandle {
  readonly planned: PlannedContainer
  readonly seen: SeenContainer
  readonly podIp: string
}

/**
 * Carries out the postStart hook of a running container, and notes how it ended: what is noted is never carried out
 * again, what was broken off by a crash of ours or of the runtime is. Never rejects for the hook's own failure; with the
 * signal's reason when that is aborted, with the runtime's error when that went away, and when it could not be noted.
 */
export async function postStart(input: PostStartInput, signal: AbortSignal): Promise<void> {
  const { tools, ref, notes, tell, planned, podIp } = input
  const { container, plan } = planned
  const { id, metadata, startedAt } = input.seen.status
  const handler = container.lifecycle?.postStart
  if (!handler) return
  const hook = {
    handler,
    pod: ref,
    container,
    podIp,
    exec: execInContainer(tools.client, id),
    clock: tools.clock,
    tell,
    beganAtMs: nanosToMs(startedAt),
  }
  const failure = await failureOf(runHook(hook, signal), signal)
  // Outside of what the hook is blamed for: a note that finds no room on the disk is no failure of the hook's.
  await notes.note(plan.name, metadata.attempt, { postStart: failure === undefined ? 'done' : { failure } })
  if (failure === undefined) return
  // Without the sentence, which the container's status shows: it holds the command and what it wrote, or what a server
  // answered. Kubelet keeps that out of the event, and not out of its log.
  tools.log.info({ pod: ref.uid, container: plan.name }, 'a postStart hook has failed')
  const fieldPath = fieldPathOf(plan)
  tell({ type: 'Warning', reason: 'FailedPostStartHook', message: 'PostStartHook failed', fieldPath })
}

/** The sentence with which the hook failed; undefined when it did not. */
async function failureOf(hook: Promise<void>, signal: AbortSignal): Promise<string | undefined> {
  try {
    await hook
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    // Kubelet ends the container for it. It is carried out again here, as after a crash of ours.
    if (isRuntimeGone(error)) throw error
    return errorMessage(error)
  }
}
