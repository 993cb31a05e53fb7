import type { ContainerKill, ContainerStart, PodActions } from '../../lifecycle/pod-actions.ts'
import { podActions } from '../../lifecycle/pod-actions.ts'
import { errorMessage } from '../../model/errors.ts'
import type { Pod } from '../../model/kubernetes.ts'
import type { PodObservation } from '../../model/pod-observation.ts'
import type { BackendEvent, PodHappening, PodSources } from '../backend.ts'
import { evidenceOf } from './evidence.ts'
import { resolveEnvironment } from './environment.ts'
import { nextChangeMs } from './next-change.ts'
import { containersOf, observe, type NamedContainer } from './observe.ts'
import { followResize, resizeRestarts, takeOver } from './resize.ts'
import { Setbacks } from './setbacks.ts'
import { currentSandbox, endRun, lastRuns, type SimulatedPod, type SimulatedRun } from './simulated-pod.ts'
import type { SimulatedWorld } from './world.ts'

type NextAttempt = Pick<ContainerStart, 'attempt' | 'backoffMs'>

export interface PodDriverOptions {
  readonly record: SimulatedPod
  readonly world: SimulatedWorld
  readonly emit: (event: BackendEvent) => void
}

/** Looks after one Pod for one instance of the backend: acts by the rules, and tells what changed. */
export class PodDriver {
  readonly #record: SimulatedPod
  readonly #world: SimulatedWorld
  readonly #emit: (event: BackendEvent) => void
  readonly #ended = new AbortController()
  readonly #setbacks = new Setbacks()
  /** Containers whose environment is being read. */
  readonly #reading = new Set<string>()
  /** Containers that were ended so that they start again at once, with the reason told, until they do. */
  readonly #owed = new Map<string, string>()
  /** What has been told in events: container ids, and `uid/what` of other things. */
  readonly #told = new Set<string>()
  #sources: PodSources | undefined
  #unsubscribe: (() => void) | undefined
  #waiting = new Map<string, { readonly reason: string; readonly message?: string }>()
  #trouble: { readonly reason: string; readonly message: string } | undefined
  #lastSeen = ''
  #cancelTimer: (() => void) | undefined

  constructor({ record, world, emit }: PodDriverOptions) {
    this.#record = record
    this.#world = world
    this.#emit = emit
    for (const runs of record.runs.values()) for (const run of runs) this.#told.add(run.containerId)
    this.tick()
  }

  /** From here on the Pod is acted for. */
  supervise(pod: Pod, sources: PodSources): void {
    takeOver(this.#record, pod)
    this.#sources = sources
    this.#unsubscribe?.()
    this.#unsubscribe = sources.onChange(() => {
      this.#setbacks.retryConfiguration()
      this.tick()
    })
    this.tick()
  }

  update(pod: Pod): void {
    takeOver(this.#record, pod)
    this.tick()
  }

  get supervised(): boolean {
    return this.#sources !== undefined
  }

  observation(): PodObservation {
    const supervision = this.#sources && {
      generation: this.#record.pod.metadata?.generation ?? 0,
      trouble: this.#trouble,
      waiting: this.#waiting,
    }
    return observe(this.#record, supervision, this.#world.clock.wallMs())
  }

  close(): void {
    this.#ended.abort(new Error('the backend was closed'))
    this.#cancelTimer?.()
    this.#unsubscribe?.()
  }

  /** One look: act, tell, and come back when time changes something. */
  tick(): void {
    if (this.#ended.signal.aborted) return
    const { clock } = this.#world
    // One instant for the whole look: what falls between two readings of the clock would be seen by neither.
    const nowMs = clock.wallMs()
    const wakeAtMs = this.#sources && !this.#record.ending ? this.#act(nowMs) : undefined
    if (this.#record.ending) {
      this.#waiting = new Map()
      this.#trouble = undefined
    }
    this.#announceRuns(nowMs)
    this.#tell()
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    const times = [nextChangeMs(this.#record, nowMs), wakeAtMs].filter((atMs) => atMs !== undefined)
    if (times.length === 0) return
    this.#cancelTimer = clock.timer(Math.max(Math.min(...times) - clock.wallMs(), 1), () => this.tick())
  }

  #tell(): void {
    const pod = this.observation()
    const seen = JSON.stringify(pod)
    if (seen === this.#lastSeen) return
    this.#lastSeen = seen
    this.#emit({ kind: 'observed', pod })
  }

  #act(nowMs: number): number | undefined {
    const sandbox = currentSandbox(this.#record)
    // Being made: nothing to decide until it is there.
    if (sandbox && nowMs < sandbox.readyAtMs && nowMs < sandbox.lostAtMs) return undefined
    const actions = this.#decide(nowMs)
    this.#waiting = new Map(actions.waiting.map(({ name, ...waiting }) => [name, waiting]))
    if (actions.finished) {
      this.#world.endPod(this.#record, gracePeriodSeconds(this.#record.pod))
      return undefined
    }
    if (actions.createSandbox) return this.#makeSandbox(actions.createSandbox.attempt, nowMs)
    this.#trouble = undefined
    for (const kill of actions.kill) this.#kill(kill, nowMs)
    followResize(this.#record, { nowMs, restarting: this.#owed.size > 0 })
    for (const start of actions.start) this.#start(start, nowMs)
    this.#announceBackoff(actions)
    for (const [name, waiting] of this.#setbacks.waiting(nowMs)) this.#waiting.set(name, waiting)
    return earliest(actions.wakeAtMs, this.#setbacks.nextMs(nowMs))
  }

  #decide(nowMs: number): PodActions {
    const record = this.#record
    const { pod } = record
    const sandbox = currentSandbox(record)
    const known = containersOf(pod).filter(({ name }) => lastRuns(record, name, nowMs).last)
    const lastRun = ({ name }: NamedContainer): SimulatedRun | undefined => lastRuns(record, name, nowMs).last
    const running = known.filter((container) => (lastRun(container)?.end.atMs ?? 0) > nowMs)
    return podActions({
      pod,
      sandbox: sandbox && {
        ready: sandbox.readyAtMs <= nowMs && nowMs < sandbox.lostAtMs,
        attempt: sandbox.attempt,
      },
      containers: known.map((container) => evidenceOf(record, container, { owed: this.#owed, nowMs })),
      failedProbes: new Map(
        running
          .filter((container) => {
            const run = lastRun(container)
            return run !== undefined && nowMs >= run.startedAtMs + run.script.livenessFailsAfterMs
          })
          .map(({ name }) => [name, 'liveness']),
      ),
      resizeRestarts: resizeRestarts(record, nowMs),
      stopping: false,
      nowMs,
    })
  }

  #makeSandbox(attempt: number, nowMs: number): number | undefined {
    if (this.#world.makeSandbox(this.#record, attempt)) {
      this.#trouble = undefined
      return undefined
    }
    const message = `Failed to create pod sandbox: no address is left in ${this.#world.config.podCidr}`
    this.#trouble = { reason: 'FailedCreatePodSandBox', message }
    this.#happen({ type: 'Warning', reason: 'FailedCreatePodSandBox', message }, undefined, message)
    return nowMs + sandboxRetryMs
  }

  #kill({ name, message, graceSeconds, restartAtOnce }: ContainerKill, nowMs: number): void {
    const { last } = lastRuns(this.#record, name, nowMs)
    if (!last) return
    if (restartAtOnce) this.#owed.set(name, message)
    endRun(last, nowMs, nowMs + graceSeconds * 1000)
    this.#happen({ type: 'Normal', reason: 'Killing', message }, name, `${last.containerId}/killing`)
  }

  #start({ name, attempt, backoffMs }: ContainerStart, nowMs: number): void {
    const container = containersOf(this.#record.pod).find((candidate) => candidate.name === name)
    const begun = this.#record.runs.get(name)?.at(-1)
    const underWay = begun !== undefined && begun.startedAtMs > nowMs
    if (!container || underWay || this.#reading.has(name) || this.#setbacks.holds(name, nowMs)) return
    const { pullError } = this.#world.scriptOf(this.#record.pod, container)
    if (pullError !== undefined) {
      this.#setbacks.pullFailed({ name, image: container.image, message: pullError, nowMs })
      this.#happen({ type: 'Warning', reason: 'Failed', message: pullError }, name, `${name}/pull/${nowMs}`)
      return
    }
    this.#reading.add(name)
    void this.#startWithEnvironment(container, { attempt, backoffMs })
  }

  async #startWithEnvironment(container: NamedContainer, how: NextAttempt): Promise<void> {
    const { name, image } = container
    const problem = await this.#begin(container, how)
    this.#reading.delete(name)
    if (this.#ended.signal.aborted) return
    if (problem !== undefined) {
      this.#setbacks.configurationFailed({ name, message: problem, nowMs: this.#world.clock.wallMs() })
      this.#happen(
        { type: 'Warning', reason: 'Failed', message: `Error: ${problem}` },
        name,
        `${name}/${problem}`,
      )
    } else {
      this.#setbacks.over(name)
      this.#owed.delete(name)
      if (!this.#world.isPulled(image)) {
        this.#happen(
          { type: 'Normal', reason: 'Pulling', message: `Pulling image "${image}"` },
          name,
          `${name}/${image}`,
        )
      }
    }
    this.tick()
  }

  /** Undefined when it is started, or nothing is to be started any more; otherwise why it cannot be. */
  async #begin(container: NamedContainer, how: NextAttempt): Promise<string | undefined> {
    const record = this.#record
    const sandbox = currentSandbox(record)
    const sources = this.#sources
    const spec = specOf(record.pod, container.name)
    if (!sandbox || !sources || !spec) return undefined
    try {
      const input = { pod: record.pod, container: spec, podIp: sandbox.ip, sources }
      const environment = await resolveEnvironment(input, this.#ended.signal)
      if ('problem' in environment) return environment.problem
      const stale = record.ending !== undefined || currentSandbox(record) !== sandbox
      if (!stale && !this.#ended.signal.aborted && this.#world.get(record.ref.uid) === record) {
        this.#world.beginRun(record, container, { ...how, environment: environment.variables })
      }
      return undefined
    } catch (error) {
      return errorMessage(error)
    }
  }

  #announceRuns(nowMs: number): void {
    for (const runs of this.#record.runs.values()) {
      for (const { containerId, name, startedAtMs, script } of runs) {
        if (startedAtMs > nowMs || this.#told.has(containerId)) continue
        const what = script.cannotRun ? 'Failed' : 'Started'
        const message = script.cannotRun ? `Error: ${script.cannotRun}` : `Started container ${name}`
        this.#happen(
          { type: script.cannotRun ? 'Warning' : 'Normal', reason: what, message },
          name,
          containerId,
        )
      }
    }
  }

  #announceBackoff({ waiting }: PodActions): void {
    for (const { name, reason } of waiting) {
      if (reason !== 'CrashLoopBackOff') continue
      const attempt = this.#record.runs.get(name)?.at(-1)?.attempt ?? 0
      const { namespace, name: podName, uid } = this.#record.ref
      const message = `Back-off restarting failed container ${name} in pod ${podName}_${namespace}(${uid})`
      this.#happen({ type: 'Warning', reason: 'BackOff', message }, name, `${name}/backoff/${attempt}`)
    }
  }

  /** Tells it once. */
  #happen(happening: PodHappening, container: string | undefined, once: string): void {
    if (this.#told.has(once)) return
    this.#told.add(once)
    const { uid } = this.#record.ref
    const fieldPath = container && { fieldPath: fieldPathOf(this.#record.pod, container) }
    this.#emit({ kind: 'happened', uid, happening: { ...happening, ...fieldPath } })
  }
}

const sandboxRetryMs = 10_000

function specOf({ spec }: Pod, name: string) {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = spec ?? {}
  return [...initContainers, ...containers, ...ephemeralContainers].find((one) => one.name === name)
}

function fieldPathOf({ spec }: Pod, name: string): string {
  const list = spec?.initContainers?.some((one) => one.name === name) ? 'initContainers' : 'containers'
  return `spec.${list}{${name}}`
}

function gracePeriodSeconds(pod: Pod): number {
  return pod.spec?.terminationGracePeriodSeconds ?? 30
}

function earliest(...times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((atMs) => atMs !== undefined)
  return known.length > 0 ? Math.min(...known) : undefined
}
