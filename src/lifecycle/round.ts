import type { Container, Pod } from '../model/kubernetes.ts'
import type { ContainerKind, ContainerObservation } from '../model/pod-observation.ts'
import type {
  ContainerKill,
  ContainerStart,
  ContainerWait,
  PodActions,
  PodActionsInput,
} from './pod-actions.ts'
import { formatDelay, restartDelayMs } from './restart-backoff.ts'
import { lastEnd } from './restart-policy.ts'

/** The sheet on which one round of `podActions` notes what is to be done. Lives no longer than the call. */
export class Round {
  readonly input: PodActionsInput
  readonly #seen: ReadonlyMap<string, ContainerObservation>
  readonly #start: ContainerStart[] = []
  readonly #kill: ContainerKill[] = []
  readonly #waiting: ContainerWait[] = []
  #wakeAtMs: number | undefined

  constructor(input: PodActionsInput) {
    this.input = input
    this.#seen = new Map(input.containers.map((container) => [container.name, container]))
  }

  /** The container's last attempt, in whichever sandbox it ran. */
  seen(name: string): ContainerObservation | undefined {
    return this.#seen.get(name)
  }

  /** The same, if it belongs to the sandbox of now. */
  seenHere(name: string): ContainerObservation | undefined {
    return this.input.ofEarlierSandbox?.has(name) ? undefined : this.#seen.get(name)
  }

  kill(name: string, reason: ContainerKill['reason'], message: string): void {
    this.#kill.push({ name, reason, message })
  }

  /** Ends a running container whose probe or whose image asks for it. What follows is decided once it has ended. */
  killIfUnwell({ name }: Container): void {
    const probe = this.input.failedProbes?.get(name)
    if (this.input.changed?.has(name)) {
      this.kill(name, 'SpecChanged', `Container ${name} definition changed, will be restarted`)
    } else if (probe === 'liveness') {
      this.kill(name, 'LivenessFailed', `Container ${name} failed liveness probe, will be restarted`)
    } else if (probe === 'startup') {
      this.kill(name, 'StartupFailed', `Container ${name} failed startup probe, will be restarted`)
    }
  }

  /** Starts a container that does not run, or lets it wait until its back-off is over. */
  startOrWait(container: Pick<Container, 'name'>, kind: ContainerKind): void {
    const { name } = container
    const seen = this.seen(name)
    const ended = lastEnd(seen)
    if (seen && ended && this.seenHere(name) && !this.input.changed?.has(name)) {
      const delayMs = restartDelayMs(seen)
      const atMs = ended.finishedAtMs + delayMs
      if (atMs > this.input.nowMs) {
        this.#waiting.push({ name, reason: 'CrashLoopBackOff', message: this.#backoffMessage(name, delayMs) })
        this.#wakeAtMs = Math.min(this.#wakeAtMs ?? atMs, atMs)
        return
      }
    }
    this.waitFirst(container)
    this.#start.push({ name, kind, attempt: seen && ended ? seen.restartCount + 1 : 0 })
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
      kill: this.#kill,
      waiting: this.#waiting,
      ...(this.#wakeAtMs !== undefined && { wakeAtMs: this.#wakeAtMs }),
    }
  }

  #backoffMessage(name: string, delayMs: number): string {
    return `back-off ${formatDelay(delayMs)} restarting failed container=${name} pod=${longName(this.input.pod)}`
  }
}

/** As kubelet prints a Pod in messages: `name_namespace(uid)`. */
function longName(pod: Pod): string {
  const { name, namespace, uid } = pod.metadata ?? {}
  return `${name}_${namespace}(${uid})`
}
