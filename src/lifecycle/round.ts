import type { Container, Pod } from '../model/kubernetes.ts'
import type { ContainerKind, TerminatedState } from '../model/pod-observation.ts'
import { sameRequirements } from '../model/pod-resources.ts'
import type {
  ContainerEvidence,
  ContainerKill,
  ContainerStart,
  ContainerWait,
  PodActions,
  PodActionsInput,
} from './pod-actions.ts'
import { givenResources } from './given-resources.ts'
import { formatDelay, nextBackoffMs, restartDelayMs, type RunBefore } from './restart-backoff.ts'
import { lastEnd, mayRestart } from './restart-policy.ts'

/** The sheet on which one round of `podActions` notes what is to be done. Lives no longer than the call. */
export class Round {
  readonly input: PodActionsInput
  readonly #seen: ReadonlyMap<string, ContainerEvidence>
  readonly #start: ContainerStart[] = []
  readonly #hooks: string[] = []
  readonly #kill: ContainerKill[] = []
  readonly #waiting: ContainerWait[] = []
  #wakeAtMs: number | undefined
  /** A postStart hook comes first: what follows in the order of the spec is not started before it is done. */
  #heldByHook = false

  constructor(input: PodActionsInput) {
    this.input = input
    this.#seen = new Map(input.containers.map((container) => [container.name, container]))
  }

  /** The container's last attempt, in whichever sandbox it ran. */
  seen(name: string): ContainerEvidence | undefined {
    return this.#seen.get(name)
  }

  /** The same, if it belongs to the sandbox of now. */
  seenHere(name: string): ContainerEvidence | undefined {
    const seen = this.#seen.get(name)
    return seen?.outdated ? undefined : seen
  }

  kill(
    name: string,
    reason: ContainerKill['reason'],
    {
      message,
      probeGraceSeconds,
      restartAtOnce = false,
    }: { readonly message: string; readonly probeGraceSeconds?: number; readonly restartAtOnce?: boolean },
  ): void {
    const { metadata, spec } = this.input.pod
    const graceSeconds =
      metadata?.deletionGracePeriodSeconds ?? probeGraceSeconds ?? spec?.terminationGracePeriodSeconds ?? 30
    this.#kill.push({ name, reason, message, graceSeconds, restartAtOnce })
  }

  /** Looks after a running container: carries its hook out, or ends it when hook, image or probe asks for that. */
  tend(container: Container, kind: 'main' | 'sidecar'): 'stays' | 'restarts' | 'ends' {
    const { name, livenessProbe, startupProbe } = container
    const seen = this.seen(name)
    const probe = this.input.failedProbes?.get(name)
    const word = kind === 'main' ? 'Container' : 'Init container'
    if (seen?.restartOwed !== undefined) {
      // An earlier life of this process was killed over it.
      this.kill(name, 'BrokenOff', { message: seen.restartOwed, restartAtOnce: true })
      return 'restarts'
    }
    if (seen?.postStart === 'pending') {
      this.#hooks.push(name)
      this.#heldByHook = true
      return 'stays'
    }
    if (seen?.postStart) {
      this.kill(name, 'PostStartFailed', { message: 'FailedPostStartHook' })
      this.#waiting.push({ name, reason: 'PostStartHookError', message: seen.postStart.failure })
      return mayRestart(container, this.input.pod) ? 'restarts' : 'ends'
    }
    // A sidecar that has not started answers to its startup probe alone.
    const changed = seen?.image !== (container.image ?? '') && (kind === 'main' || seen?.started === true)
    if (changed)
      return this.#endUnwell(container, kind, ['SpecChanged', `${word} ${name} definition changed`])
    if (probe === 'liveness') {
      const message = `${word} ${name} failed liveness probe`
      return this.#endUnwell(container, kind, ['LivenessFailed', message], livenessProbe)
    }
    if (probe === 'startup') {
      const message = `${word} ${name} failed startup probe`
      return this.#endUnwell(container, kind, ['StartupFailed', message], startupProbe)
    }
    if (this.input.resizeRestarts?.has(name)) {
      const message = `Container ${name} resize requires restart`
      this.kill(name, 'Resized', { message, restartAtOnce: !this.#mustWaitAfterKill(container) })
      return 'restarts'
    }
    return 'stays'
  }

  /** Starts a container that does not run, or lets it wait until its back-off is over. */
  startOrWait(
    container: Pick<Container, 'name' | 'image' | 'lifecycle' | 'resources'>,
    kind: ContainerKind,
  ): void {
    const { name } = container
    const seen = this.seen(name)
    const ended = lastEnd(seen)
    const before =
      this.#countsForBackoff(seen, kind) && ended ? this.#runBefore(container, seen, ended) : undefined
    if (before && ended && seen?.restartOwed === undefined) {
      const delayMs = restartDelayMs(before, ended.finishedAtMs)
      const atMs = ended.finishedAtMs + delayMs
      if (atMs > this.input.nowMs) {
        this.#waiting.push({ name, reason: 'CrashLoopBackOff', message: this.#backoffMessage(name, delayMs) })
        this.#wakeAtMs = Math.min(this.#wakeAtMs ?? atMs, atMs)
        return
      }
    }
    this.waitFirst(container)
    if (this.#heldByHook) return
    const backoffMs = before && ended ? this.#backoffAfter(before, seen, ended) : 0
    this.#start.push({ name, kind, attempt: seen && ended ? seen.restartCount + 1 : 0, backoffMs })
    if (container.lifecycle?.postStart) this.#heldByHook = true
  }

  /** What the status says of a container that has never run; of others it goes on telling how they ended. */
  waitFirst({ name }: Pick<Container, 'name'>): void {
    if (this.seen(name)) return
    const initializing = (this.input.pod.spec?.initContainers ?? []).length > 0
    this.#waiting.push({ name, reason: initializing ? 'PodInitializing' : 'ContainerCreating' })
  }

  actions(): PodActions {
    return {
      killPod: false,
      start: this.#start,
      hooks: this.#hooks,
      kill: this.#kill,
      waiting: this.#waiting,
      ...(this.#wakeAtMs !== undefined && { wakeAtMs: this.#wakeAtMs }),
    }
  }

  /** What follows the end of the others is decided once they have ended; this one is known to be started again. */
  #endUnwell(
    container: Container,
    kind: 'main' | 'sidecar',
    [reason, message]: readonly [ContainerKill['reason'], string],
    probe?: { readonly terminationGracePeriodSeconds?: number },
  ): 'restarts' | 'ends' {
    const restarts = reason === 'SpecChanged' || kind === 'sidecar' || mayRestart(container, this.input.pod)
    const probeGraceSeconds = probe?.terminationGracePeriodSeconds
    this.kill(container.name, reason, {
      message: restarts && kind === 'main' ? `${message}, will be restarted` : message,
      ...(probeGraceSeconds !== undefined && { probeGraceSeconds }),
      restartAtOnce: restarts && !this.#mustWaitAfterKill(container),
    })
    return restarts ? 'restarts' : 'ends'
  }

  /**
   * Kubelet ends and starts such a container in one go, so that its back-off counts from the end of the attempt before:
   * one that has served longer than its back-off since then starts again at once.
   */
  #mustWaitAfterKill(container: Container): boolean {
    const seen = this.seen(container.name)
    const before = seen?.lastTerminated
    if (!seen || !before) return false
    return before.finishedAtMs + this.#backoffMsOf(container, seen) > this.input.nowMs
  }

  /** One that could not be started at all ended as it began. */
  #runBefore(
    container: Pick<Container, 'image' | 'resources'>,
    seen: ContainerEvidence | undefined,
    { startedAtMs, finishedAtMs }: TerminatedState,
  ): RunBefore {
    const startMs = startedAtMs > 0 ? Math.min(startedAtMs, finishedAtMs) : finishedAtMs
    return { backoffMs: this.#backoffMsOf(container, seen), startedAtMs: startMs }
  }

  /** Of another image, or another size, nothing is counted: the change may be the cure (kuberuntime GetBackoffKey). */
  #backoffMsOf(
    container: Pick<Container, 'image' | 'resources'>,
    seen: ContainerEvidence | undefined,
  ): number {
    if (seen?.image !== container.image) return 0
    const given = givenResources(this.input.pod, container)
    return sameRequirements(seen?.given ?? given, given) ? (seen?.backoffMs ?? 0) : 0
  }

  #backoffAfter(run: RunBefore, seen: ContainerEvidence | undefined, ended: TerminatedState): number {
    if (seen?.restartOwed === undefined) return nextBackoffMs(run, ended.finishedAtMs)
    // Ended by us: kubelet begins to count with the second end.
    return seen.lastTerminated ? nextBackoffMs(run, seen.lastTerminated.finishedAtMs) : 0
  }

  /** A new sandbox takes the init containers' past away, a restart of all containers everyone's. */
  #countsForBackoff(seen: ContainerEvidence | undefined, kind: ContainerKind): boolean {
    return seen?.outdated === undefined || (kind === 'main' && seen.outdated === 'newSandbox')
  }

  #backoffMessage(name: string, delayMs: number): string {
    return `back-off ${formatDelay(delayMs)} restarting failed container=${name} pod=${longName(this.input.pod)}`
  }
}

/** As kubelet prints a Pod in messages: `name_namespace(uid)`. */
export function longName(pod: Pod): string {
  const { name, namespace, uid } = pod.metadata ?? {}
  return `${name}_${namespace}(${uid})`
}
