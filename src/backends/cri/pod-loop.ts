import { rm } from 'node:fs/promises'
import type { PodActions } from '../../lifecycle/pod-actions.ts'
import { errorMessage, SpillwayError } from '../../model/errors.ts'
import type { Pod } from '../../model/kubernetes.ts'
import type { PodRef } from '../../model/pod-key.ts'
import type { PodObservation } from '../../model/pod-observation.ts'
import type { BackendEvent, PodHappening, PodSources } from '../backend.ts'
import {
  decideActions,
  hasStarts,
  sandboxRestMs,
  newBackoffs,
  waitingFor,
  type Waiting,
} from './decide-actions.ts'
import { endPod, stopAll, type PodEndInput } from './end-pod.ts'
import type { ContainerPlan } from './marks.ts'
import { observePod, type ObserveInput } from './observe.ts'
import { podPaths, type PodPaths } from './paths.ts'
import type { CriTools } from './pod-context.ts'
import type { Ending } from './pod-store.ts'
import { PodSupport } from './pod-support.ts'
import { retryDelayMs, troubleOf } from './retry.ts'
import { RuntimePicture } from './runtime-picture.ts'
import { removeOldAttempts, startContainer } from './start-container.ts'
import { startSandbox } from './start-sandbox.ts'
import { terminationMessage } from './termination-message.ts'
import { plannedContainers } from './translate.ts'
import { removeVolumes } from './volumes/volumes.ts'

export interface PodLoopInput {
  readonly tools: CriTools
  readonly ref: PodRef
  readonly nodeName: string
  readonly plans: readonly ContainerPlan[]
  readonly ending: Ending | undefined
  readonly publish: (event: BackendEvent) => void
}

/**
 * One Pod's life on the runtime: look, decide by `podActions`, act, again, for as long as there is something to do.
 * Everything that wakes it only says that something may have changed. One round at a time.
 */
export class PodLoop {
  readonly ref: PodRef
  readonly picture: RuntimePicture
  readonly paths: PodPaths
  readonly #tools: CriTools
  readonly #publish: (event: BackendEvent) => void
  readonly #life = new AbortController()
  readonly #waits = new AbortController()
  #nodeName: string
  #plans: readonly ContainerPlan[]
  #support: PodSupport | undefined
  #ending: Ending | undefined
  #ended = false
  #trouble: ObserveInput['trouble']
  #waiting: ReadonlyMap<string, Waiting> = new Map()
  #failures = 0
  /** Monotonic: until then nothing is started, whatever wakes the loop. */
  #heldUntilMs = 0
  #dirty = false
  #round: Promise<void> | undefined
  #cancelTimer: (() => void) | undefined
  #lastPublished = ''

  constructor({ tools, ref, nodeName, plans, ending, publish }: PodLoopInput) {
    this.ref = ref
    this.#tools = tools
    this.#nodeName = nodeName
    this.#plans = plans
    this.#ending = ending
    this.#publish = publish
    this.paths = podPaths(tools.settings.options.stateDir, ref)
    const { clock, log } = tools
    this.picture = new RuntimePicture(tools.client, (status, signal) =>
      terminationMessage({ status, paths: this.paths, clock, log }, signal),
    )
  }

  get pod(): Pod | undefined {
    return this.#support?.pod
  }

  get stopped(): boolean {
    return this.#ended
  }

  get ending(): boolean {
    return this.#ending !== undefined
  }

  /** Takes the Pod under supervision, or over a changed one. */
  supervise(pod: Pod, sources: PodSources): void {
    if (this.#ending) return
    this.#nodeName = sources.node.name
    this.#plans = plannedContainers(pod).map(({ plan }) => plan)
    if (this.#support) this.#support.update(pod)
    else {
      this.#support = new PodSupport({
        tools: this.#tools,
        ref: this.ref,
        pod,
        sources,
        paths: this.paths,
        adopting: !this.picture.empty,
        isStopping: () => this.ending,
        onChange: () => this.changed(),
        onSourceChange: () => this.retry(),
        tell: (happening) => this.#tell(happening),
      })
    }
    this.nudge()
  }

  /** Ends the Pod for good. Durable before it resolves. A later call may shorten the grace. */
  async stop(graceSeconds: number): Promise<void> {
    const deadlineMs = this.#tools.clock.wallMs() + graceSeconds * 1000
    const before = this.#ending
    if (this.#ended || (before && before.deadlineMs <= deadlineMs)) return
    await this.#end({ deadlineMs })
    if (before) void this.#shorten()
    this.nudge()
  }

  /** Something of this Pod may have changed in the picture. */
  changed(): void {
    this.publish()
    this.nudge()
  }

  /** What was missing may be there now: does not wait for the back-off. */
  retry(): void {
    this.#heldUntilMs = 0
    this.changed()
  }

  nudge(): void {
    this.#dirty = true
    this.#cancelTimer?.()
    if (this.#life.signal.aborted) return
    this.#round ??= this.#rounds().finally(() => {
      this.#round = undefined
      if (this.#dirty && !this.#life.signal.aborted) this.nudge()
    })
  }

  publish(): void {
    const pod = this.observe()
    const text = JSON.stringify(pod)
    if (text === this.#lastPublished || this.#life.signal.aborted) return
    this.#lastPublished = text
    this.#publish({ kind: 'observed', pod })
  }

  observe(): PodObservation {
    return observePod(this.#observeInput())
  }

  /** Ends this loop; the Pod goes on. Resolves when nothing of it is under way any more. */
  async close(): Promise<void> {
    const reason = new SpillwayError('Unavailable', 'the backend is closing')
    this.#life.abort(reason)
    this.#waits.abort(reason)
    this.#cancelTimer?.()
    this.#support?.close()
    await this.#round
  }

  async #rounds(): Promise<void> {
    while (this.#dirty && !this.#life.signal.aborted) {
      this.#dirty = false
      try {
        if (await this.#oneRound(this.#life.signal)) {
          this.#failures = 0
          this.#trouble = undefined
        }
      } catch (error) {
        this.#failed(error)
      }
      this.publish()
    }
  }

  /** False when there was something to start that has to wait for its back-off. */
  async #oneRound(signal: AbortSignal): Promise<boolean> {
    if (this.#ended) return true
    if (this.#ending) await this.#takeDown(signal)
    else if (this.#support) return await this.#act(this.#support, signal)
    return true
  }

  async #act(support: PodSupport, signal: AbortSignal): Promise<boolean> {
    support.followProbes(this.picture)
    const { clock } = this.#tools
    const actions = decideActions(support, this.#observeInput(), clock.wallMs())
    const waiting = waitingFor(actions, this.#waiting)
    for (const happening of newBackoffs(waiting, this.#waiting, support)) this.#tell(happening)
    this.#waiting = waiting
    if (actions.finished) {
      await this.#end({ deadlineMs: this.#tools.clock.wallMs() + support.graceSeconds * 1000 })
      this.#dirty = true
      return true
    }
    this.publish()
    await this.#kill(actions, support, signal)
    const youngMs = sandboxRestMs(actions, this.picture.current, clock.wallMs())
    const heldMs = Math.max(hasStarts(actions) ? this.#heldUntilMs - clock.monotonicMs() : 0, youngMs)
    if (heldMs > 0) {
      this.#wakeIn(heldMs)
      return false
    }
    if (actions.createSandbox) {
      support.prepare(this.#waits.signal)
      const { attempt } = actions.createSandbox
      await startSandbox(this.#start(support), attempt, (happening) => this.#tell(happening), signal)
      this.#dirty = true
      return true
    }
    if (actions.start.some(({ attempt }) => attempt > 0) && (await this.#sandboxLost(signal))) return true
    await this.#startAll(actions, support, signal)
    if (actions.wakeAtMs !== undefined) this.#wakeIn(actions.wakeAtMs - this.#tools.clock.wallMs())
    return true
  }

  /** A container that ended may have ended with its sandbox, whose own end is told later: that is no restart in it. */
  async #sandboxLost(signal: AbortSignal): Promise<boolean> {
    const sandbox = this.picture.current
    if (!sandbox) return false
    await this.picture.lookAtSandbox(sandbox.id, signal)
    if (this.picture.current?.state === 'SANDBOX_READY') return false
    this.#dirty = true
    return true
  }

  async #kill(actions: PodActions, support: PodSupport, signal: AbortSignal): Promise<void> {
    if (actions.killPod) return endPod(this.#endInput(support.graceSeconds * 1000), signal)
    const names = new Set(actions.kill.map(({ name }) => name))
    for (const { name, message } of actions.kill) {
      this.#tell({ type: 'Normal', reason: 'Killing', message, fieldPath: support.fieldPath(name) })
    }
    const doomed = this.picture.running.filter(({ status }) => names.has(status.metadata.name))
    if (doomed.length === 0) return
    const graceMs = support.graceSeconds * 1000
    await stopAll({ ...this.#endInput(graceMs), tell: () => undefined }, doomed, signal)
    this.#dirty = true
  }

  /** In the order of the spec; one that cannot be started does not keep the next from it. */
  async #startAll(actions: PodActions, support: PodSupport, signal: AbortSignal): Promise<void> {
    const waiting = new Map(this.#waiting)
    let failure: unknown
    for (const { name, attempt } of actions.start) {
      if (this.#ending) break
      const planned = plannedContainers(support.pod).find(({ plan }) => plan.name === name)
      if (!planned) continue
      try {
        const volumes = await support.volumes(this.#waits.signal)
        await startContainer(
          {
            ...this.#start(support),
            planned,
            attempt,
            volumes,
            image: (waits) => support.image(planned, waits),
            tell: (happening) => this.#tell(happening),
            waits: this.#waits.signal,
          },
          signal,
        )
        waiting.delete(name)
        this.#dirty = true
      } catch (error) {
        if (this.#waits.signal.aborted) return
        failure = error
        const { reason, message } = troubleOf(error)
        if (reason !== 'FailedMount') waiting.set(name, { reason, message })
      }
      this.#waiting = waiting
      support.followProbes(this.picture)
      this.publish()
    }
    if (failure !== undefined) throw failure
    // Behind the hot path: what only keeps the disk tidy.
    for (const { name } of actions.start) await removeOldAttempts(this.#start(support), name, signal)
  }

  async #takeDown(signal: AbortSignal): Promise<void> {
    this.#support?.stopWaiting()
    const leftMs = this.#leftMs.bind(this)
    await endPod({ ...this.#endInput(0), leftMs }, signal)
    if (this.picture.running.length > 0) {
      throw new SpillwayError('Unavailable', 'a container still runs', { reason: 'FailedKillPod' })
    }
    this.#support?.close()
    await removeVolumes({ podDir: this.paths.podDir, run: this.#tools.shell.run }, signal)
    await this.#tools.cgroups.remove(this.ref.uid)
    this.#tools.images.forget(this.ref.uid)
    this.#waiting = new Map()
    this.#ended = true
  }

  /** Removes the evidence. The Pod has stopped. */
  async erase(signal: AbortSignal): Promise<void> {
    // First: nobody is to be told of a Pod that is half gone.
    await this.close()
    for (const { id } of this.picture.sandboxes) {
      await this.#tools.client.removeSandbox(id, signal)
    }
    await rm(this.paths.logDir, { recursive: true, force: true })
    await this.#tools.cgroups.remove(this.ref.uid)
    // Last: while the directory is there, a new process still knows of the Pod.
    await this.#tools.store.remove(this.paths.podDir)
  }

  async #end(ending: Ending): Promise<void> {
    await this.#tools.store.writeEnding(this.paths.podDir, ending)
    this.#ending = ending
    this.#waits.abort(new SpillwayError('Unavailable', 'the Pod is being stopped'))
    this.publish()
  }

  async #shorten(): Promise<void> {
    try {
      await stopAll(
        { ...this.#endInput(0), leftMs: this.#leftMs.bind(this), tell: () => undefined },
        this.picture.running,
        this.#life.signal,
      )
    } catch (error) {
      this.#tools.log.warn({ pod: this.ref.uid, error: errorMessage(error) }, 'shortening the grace failed')
    }
  }

  #leftMs(): number {
    return (this.#ending?.deadlineMs ?? 0) - this.#tools.clock.wallMs()
  }

  #endInput(graceMs: number): PodEndInput {
    return {
      tools: this.#tools,
      picture: this.picture,
      leftMs: () => graceMs,
      tell: (happening) => this.#tell(happening),
    }
  }

  #start(support: PodSupport) {
    const { pod, sources } = support
    return { tools: this.#tools, pod, ref: this.ref, sources, paths: this.paths, picture: this.picture }
  }

  #failed(error: unknown): void {
    if (this.#life.signal.aborted || (this.#waits.signal.aborted && !this.#ending)) return
    this.#failures++
    const trouble = troubleOf(error)
    this.#trouble = trouble
    const delayMs = retryDelayMs(error, this.#failures)
    this.#heldUntilMs = this.#tools.clock.monotonicMs() + delayMs
    this.#tools.log.warn({ pod: this.ref.uid, ...trouble, delayMs }, 'the Pod cannot get further')
    if (trouble.reason.startsWith('Failed')) this.#tell({ type: 'Warning', ...trouble })
    this.#wakeIn(delayMs)
  }

  #wakeIn(delayMs: number): void {
    this.#cancelTimer?.()
    this.#cancelTimer = this.#tools.clock.timer(Math.max(delayMs, 0), () => this.nudge())
  }

  #tell(happening: PodHappening): void {
    if (!this.#life.signal.aborted) this.#publish({ kind: 'happened', uid: this.ref.uid, happening })
  }

  #observeInput(): ObserveInput {
    return {
      ref: this.ref,
      nodeName: this.#nodeName,
      supervised: this.#support !== undefined,
      generation: this.#support?.pod.metadata?.generation ?? 0,
      plans: this.#plans,
      view: this.picture,
      waiting: this.#waiting,
      wellness: this.#support?.probes.wellness ?? new Map(),
      trouble: this.#trouble,
      ending: this.#ended ? 'done' : this.#ending ? 'under way' : 'no',
    }
  }
}
