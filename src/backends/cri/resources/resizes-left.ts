import { resizeActions, type ResizeActions } from '../../../lifecycle/resize-actions.ts'
import type { Pod, ResourceRequirements } from '../../../model/kubernetes.ts'
import type { AttemptNotes } from '../pod/attempt-notes.ts'
import { attemptsOf, givenTo, type RuntimeView } from '../pod/observe.ts'

type Notes = Pick<AttemptNotes, 'of' | 'restartedAll'>

/** What is left to be done until the running containers have the size in the Pod's spec. */
export function resizesLeft(pod: Pod, view: RuntimeView, notes: Notes): ResizeActions {
  const given = new Map<string, ResourceRequirements>()
  for (const seen of view.containers) {
    if (seen.status.state !== 'CONTAINER_RUNNING') continue
    const last = givenTo(seen, notes)
    if (last) given.set(seen.status.metadata.name, last)
  }
  return resizeActions({ pod, given })
}

/** Some container was ended so that it starts again, and has not yet. */
export function owesRestart(view: RuntimeView, notes: Notes): boolean {
  const names = new Set(view.containers.map(({ status }) => status.metadata.name))
  return [...names].some((name) => {
    const [last] = attemptsOf(view, name)
    return last !== undefined && notes.of(name, last.status.metadata.attempt).restartOwed !== undefined
  })
}
