import type { Container } from '../model/kubernetes.ts'
import { isSidecar } from '../model/resources.ts'
import type { TerminatedState } from '../model/pod-observation.ts'
import type { Round } from './round.ts'
import { lastEnd, shouldRestart } from './restart-policy.ts'

/**
 * Init containers run one after the other, each to its end; a sidecar among them (restartPolicy Always) goes on
 * running, and the next waits only until it has started (kuberuntime computeInitContainerActions). Evidence of a later
 * one stands for all before it: their records may have been cleaned away, and they must not run twice.
 */
export function planInit(round: Round): 'initialized' | 'initializing' | 'failed' {
  const { pod } = round.input
  const containers = pod.spec?.initContainers ?? []
  const mainStarted = (pod.spec?.containers ?? []).some(({ name }) => hasRun(round, name))
  const reached = mainStarted
    ? containers.length
    : containers.findLastIndex(({ name }) => round.seenHere(name) !== undefined)

  for (const [index, container] of containers.entries()) {
    const passed = index < reached
    const progress = isSidecar(container)
      ? planSidecar(round, container)
      : passed
        ? 'done'
        : planOnce(round, container)
    if (progress === 'failed') return 'failed'
    if (progress === 'pending' && !passed) {
      for (const later of containers.slice(index + 1)) round.waitFirst(later)
      return 'initializing'
    }
  }
  return 'initialized'
}

function hasRun(round: Round, name: string): boolean {
  const seen = round.seenHere(name)
  return seen !== undefined && (seen.state.kind !== 'waiting' || seen.lastTerminated !== undefined)
}

type Progress = 'done' | 'pending' | 'failed'

function planSidecar(round: Round, container: Container): Progress {
  const seen = round.seenHere(container.name)
  if (seen?.state.kind !== 'running') {
    round.startOrWait(container, 'sidecar')
    return 'pending'
  }
  round.tend(container, 'sidecar')
  return seen.started && !seen.postStart ? 'done' : 'pending'
}

function planOnce(round: Round, container: Container): Progress {
  const seen = round.seenHere(container.name)
  if (seen?.state.kind === 'running') return 'pending'
  const ended = lastEnd(seen)
  const failure = ended && failureOf(ended)
  // `Always` speaks of the main containers: an init container that succeeded is not run again, one that failed is.
  if (ended && failure === undefined) return 'done'
  if (failure !== undefined && !shouldRestart(container, round.input.pod, failure)) return 'failed'
  round.startOrWait(container, 'init')
  return 'pending'
}

/**
 * The exit code of a failure; undefined when it succeeded. One of whose processes ran out of memory has failed even if the
 * first of them says that all is well (kuberuntime isInitContainerFailed): what it was to prepare may be half done.
 */
function failureOf({ exitCode, reason }: TerminatedState): number | undefined {
  if (exitCode !== 0) return exitCode
  return reason === 'OOMKilled' ? killedExitCode : undefined
}

const killedExitCode = 137
