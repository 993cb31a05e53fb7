import type { ContainerEvidence } from '../../lifecycle/pod-actions.ts'
import { observeContainer, type NamedContainer } from './observe.ts'
import { currentSandbox, lastRuns, type SimulatedPod } from './simulated-pod.ts'

/** A container that has run, for the rules that say what is next. */
export function evidenceOf(
  record: SimulatedPod,
  container: NamedContainer,
  { owed, nowMs }: { readonly owed: ReadonlyMap<string, string>; readonly nowMs: number },
): ContainerEvidence {
  const { last } = lastRuns(record, container.name, nowMs)
  const ended = last !== undefined && last.end.atMs <= nowMs
  // While it still ends it is running, and need not be told again.
  const restartOwed = ended ? owed.get(container.name) : undefined
  return {
    ...observeContainer(record, container, nowMs),
    ...(last?.sandboxAttempt !== currentSandbox(record)?.attempt && { outdated: 'newSandbox' as const }),
    ...(last && { backoffMs: last.backoffMs }),
    ...(restartOwed !== undefined && { restartOwed }),
  }
}
