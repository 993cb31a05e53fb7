import { isRuntimeGone } from '../runtime/errors.ts'
import { execInContainer } from '../runtime/exec-in-container.ts'
import { fieldPathOf, kindOf, preStopOf } from '../marks.ts'
import type { SeenContainer } from '../pod/observe.ts'
import type { AttemptNote } from '../pod/attempt-notes.ts'
import type { PodHandle } from '../pod/pod-context.ts'
import { isDiskFull } from '../whole-file.ts'
import { runHook } from './run-hook.ts'

/**
 * Carries out the preStop hook of a running container, if it has one: read off the container itself, since its Pod's
 * spec may be gone by now. Broken off by a crash of ours or of the runtime it is carried out again, once done never.
 * Never rejects for the hook's own failure; with the runtime's error when that went away.
 */
export async function preStop(handle: PodHandle, seen: SeenContainer, signal: AbortSignal): Promise<void> {
  const { tools, ref, notes, tell } = handle
  const { id, metadata, labels, annotations } = seen.status
  const { name, attempt } = metadata
  const hook = preStopOf(annotations)
  const note = notes.of(name, attempt)
  if (!hook || note.preStopDone) return
  const beganAtMs = note.preStopBeganAtMs ?? tools.clock.wallMs()
  await noteIfRoom(handle, { name, attempt, preStopBeganAtMs: beganAtMs })
  const input = {
    handler: hook.handler,
    pod: ref,
    container: { name, ports: [...hook.ports] },
    podIp: hook.podIp,
    exec: execInContainer(tools.client, id),
    clock: tools.clock,
    tell,
    beganAtMs,
  }
  try {
    await runHook(input, signal)
  } catch (error) {
    if (signal.aborted) return
    // It is carried out again, as after a crash of ours: whoever ends the container cannot get further now anyway.
    if (isRuntimeGone(error)) throw error
    // Without the error: it holds the command and what it wrote, or what a server answered. Kubelet keeps that out of
    // the event, and not out of its log.
    tools.log.info({ pod: ref.uid, container: name }, 'a preStop hook has failed')
    const fieldPath = fieldPathOf({ kind: kindOf(labels), name })
    tell({ type: 'Warning', reason: 'FailedPreStopHook', message: 'PreStopHook failed', fieldPath })
  }
  await noteIfRoom(handle, { name, attempt, preStopDone: true })
}

/** Who fills the disk must not be saved by that. Not noted, the hook is begun anew after a crash of ours. */
async function noteIfRoom(
  { tools, ref, notes }: PodHandle,
  { name, attempt, ...more }: AttemptNote & { readonly name: string; readonly attempt: number },
): Promise<void> {
  try {
    await notes.note(name, attempt, more)
  } catch (error) {
    if (!isDiskFull(error)) throw error
    tools.log.warn({ pod: ref.uid, container: name }, 'the disk is full: a preStop hook is not noted on it')
  }
}
