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
import { endPod, erase, takeDown } from './end-pod.ts'
import { killContainers, stopAll } from './kill.ts'
import type { ContainerPlan } from './marks.ts'
import { observePod, type ObserveInput } from './observe.ts'
import { podPaths, type PodPaths } from './paths.ts'
import type { CriTools, PodHandle } from './pod-context.ts'
import type { Ending } from './pod-store.ts'
import { PodSupport } from './pod-support.ts'
import { Rounds } from './rounds.ts'
import { RuntimePicture } from './runtime-picture.ts'
import { Setback } from './setback.ts'
import { startAll } from './start-all.ts'
import { startSandbox } from './start-sandbox.ts'
import { terminationMessage } from './termination-message.ts'
import { plannedContainers } from './translate.ts'

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
 * Everything that wakes it only says that something may have changed. One round at a time. What an act takes is told
 * by the files of that name: `kill.ts`, `start-sandbox.ts`, `start-all.ts`, `end-pod.ts`.
 */
export class PodLoop {
  readonly picture: RuntimePicture
  readonly #handle: PodHandle
  readonly #publish: (event: BackendEvent) => void
  readonly #rounds: Rounds
  readonly #setback: Setback
  readonly #waits = new AbortController()
  #nodeName: string
  #plans: readonly ContainerPlan[]
  #support: PodSupport | undefined
  #ending: Ending | undefined
  #ended = false
  #waiting: ReadonlyMap<string, Waiting> = new Map()
  #lastPublished = ''

  constructor({ tools, ref, nodeName, plans, ending, publish }: PodLoopInput) {
    const { clock, log } = tools
    const paths = podPaths(tools.settings.options.stateDir, ref)
    this.picture = new RuntimePicture(tools.client, (status, signal) =>
      terminationMessage({ status, paths, clock, log }, signal),
    )
    this.#handle = {
      tools,
      ref,
      paths,
      picture: this.picture,
      tell: (happening) => this.#tell(happening),
    }
    this.#nodeName = nodeName
    this.#plans = plans
    this.#ending = ending
    this.#publish = publish
    this.#setback = new Setback(clock)
    this.#rounds = new Rounds(clock, (signal) => this.#round(signal))
  }

  get ref(): PodRef {
    return this.#handle.ref
  }

  get paths(): PodPaths {
    return this.#handle.paths
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
        ...this.#handle,
        pod,
        sources,
        adopting: !this.picture.empty,
        isStopping: () => this.ending,
        onChange: () => this.changed(),
        onSourceChange: () => this.retry(),
      })
    }
    this.nudge()
  }

  /** Ends the Pod for good. Durable before it resolves. A later call may shorten the grace. */
  async stop(graceSeconds: number): Promise<void> {
    const deadlineMs = this.#nowMs() + graceSeconds * 1000
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
    this.#setback.lift()
    this.changed()
  }

  nudge(): void {
    this.#rounds.nudge()
  }

  publish(): void {
    const pod = this.observe()
    const text = JSON.stringify(pod)
    if (text === this.#lastPublished || this.#rounds.signal.aborted) return
    this.#lastPublished = text
    this.#publish({ kind: 'observed', pod })
  }

  observe(): PodObservation {
    return observePod(this.#observeInput())
  }

  /** Ends this loop; the Pod goes on. Resolves when nothing of it is under way any more. */
  async close(): Promise<void> {
    const reason = new SpillwayError('Unavailable', 'the backend is closing')
    const over = this.#rounds.close(reason)
    this.#waits.abort(reason)
    this.#support?.close()
    await over
  }

  /** Removes the evidence. The Pod has stopped. */
  async erase(signal: AbortSignal): Promise<void> {
    // First: nobody is to be told of a Pod that is half gone.
    await this.close()
    await erase(this.#handle, signal)
  }

  async #round(signal: AbortSignal): Promise<void> {
    try {
      if (await this.#lookAndAct(signal)) this.#setback.over()
    } catch (error) {
      this.#failed(error)
    }
    this.publish()
  }

  /** False when there was something to start that has to wait for its back-off. */
  async #lookAndAct(signal: AbortSignal): Promise<boolean> {
    if (this.#ended) return true
    if (this.#ending) await this.#takeDown(signal)
    else if (this.#support) return await this.#act(this.#decide(this.#support), this.#support, signal)
    return true
  }

  #decide(support: PodSupport): PodActions {
    support.followProbes(this.picture)
    const actions = decideActions(support, this.#observeInput(), this.#nowMs())
    const waiting = waitingFor(actions, this.#waiting)
    for (const happening of newBackoffs(waiting, this.#waiting, support)) this.#tell(happening)
    this.#waiting = waiting
    return actions
  }

  /** In this order: finish, kill, make a sandbox, start. What was changed is looked at again before anything else. */
  async #act(actions: PodActions, support: PodSupport, signal: AbortSignal): Promise<boolean> {
    if (actions.finished) {
      await this.#end({ deadlineMs: this.#nowMs() + support.graceSeconds * 1000 })
      this.nudge()
      return true
    }
    this.publish()
    await this.#kill(actions, support, signal)
    const heldMs = this.#heldMs(actions)
    if (heldMs > 0) {
      this.#rounds.wakeIn(heldMs)
      return false
    }
    const { createSandbox, start, wakeAtMs } = actions
    if (createSandbox) {
      support.prepare(this.#waits.signal)
      const { pod, sources } = support
      await startSandbox({ ...this.#handle, pod, sources }, createSandbox.attempt, signal)
      this.nudge()
      return true
    }
    if (start.some(({ attempt }) => attempt > 0) && (await this.#sandboxLost(signal))) return true
    if (start.length > 0) await this.#startAll(actions, support, signal)
    if (wakeAtMs !== undefined) this.#rounds.wakeIn(wakeAtMs - this.#nowMs())
    return true
  }

  async #kill({ killPod, kill }: PodActions, support: PodSupport, signal: AbortSignal): Promise<void> {
    const leftMs = (): number => support.graceSeconds * 1000
    if (killPod) await endPod({ ...this.#handle, leftMs }, signal)
    else if (kill.length > 0) {
      const killed = await killContainers({ ...this.#handle, support, kills: kill }, signal)
      if (killed) this.nudge()
    }
  }

  /** How long what is to be started has to wait: for a back-off, or because the last sandbox is too young. */
  #heldMs(actions: PodActions): number {
    const youngMs = sandboxRestMs(actions, this.picture.current, this.#nowMs())
    return Math.max(hasStarts(actions) ? this.#setback.leftMs : 0, youngMs)
  }

  /** A container that ended may have ended with its sandbox, whose own end is told later: that is no restart in it. */
  async #sandboxLost(signal: AbortSignal): Promise<boolean> {
    const sandbox = this.picture.current
    if (!sandbox) return false
    await this.picture.lookAtSandbox(sandbox.id, signal)
    if (this.picture.current?.state === 'SANDBOX_READY') return false
    this.nudge()
    return true
  }

  async #startAll({ start }: PodActions, support: PodSupport, signal: AbortSignal): Promise<void> {
    const waiting = new Map(this.#waiting)
    const stepped = (): void => {
      this.#waiting = new Map(waiting)
      support.followProbes(this.picture)
      this.publish()
    }
    const steps = {
      onStarted: (name: string): void => {
        waiting.delete(name)
        this.nudge()
        stepped()
      },
      onFailed: (name: string, trouble: Waiting): void => {
        if (trouble.reason !== 'FailedMount') waiting.set(name, trouble)
        stepped()
      },
    }
    await startAll({ ...this.#handle, support, starts: start, waits: this.#waits.signal, ...steps }, signal)
  }

  async #takeDown(signal: AbortSignal): Promise<void> {
    this.#support?.stopWaiting()
    await takeDown({ ...this.#handle, leftMs: () => this.#leftMs() }, signal)
    this.#support?.close()
    this.#waiting = new Map()
    this.#ended = true
  }

  async #end(ending: Ending): Promise<void> {
    await this.#handle.tools.store.writeEnding(this.paths.podDir, ending)
    this.#ending = ending
    this.#waits.abort(new SpillwayError('Unavailable', 'the Pod is being stopped'))
    this.publish()
  }

  async #shorten(): Promise<void> {
    const { running } = this.picture
    const input = { ...this.#handle, leftMs: () => this.#leftMs(), tell: () => undefined }
    try {
      await stopAll(input, running, this.#rounds.signal)
    } catch (error) {
      const { tools, ref } = this.#handle
      tools.log.warn({ pod: ref.uid, error: errorMessage(error) }, 'shortening the grace failed')
    }
  }

  #leftMs(): number {
    return (this.#ending?.deadlineMs ?? 0) - this.#nowMs()
  }

  #nowMs(): number {
    return this.#handle.tools.clock.wallMs()
  }

  #failed(error: unknown): void {
    if (this.#rounds.signal.aborted || (this.#waits.signal.aborted && !this.#ending)) return
    const { trouble, delayMs } = this.#setback.failed(error)
    this.#handle.tools.log.warn({ pod: this.ref.uid, ...trouble, delayMs }, 'the Pod cannot get further')
    if (trouble.reason.startsWith('Failed')) this.#tell({ type: 'Warning', ...trouble })
    this.#rounds.wakeIn(delayMs)
  }

  #tell(happening: PodHappening): void {
    if (this.#rounds.signal.aborted) return
    this.#publish({ kind: 'happened', uid: this.ref.uid, happening })
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
      trouble: this.#setback.trouble,
      ending: this.#ended ? 'done' : this.#ending ? 'under way' : 'no',
    }
  }
}
