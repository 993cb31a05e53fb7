import type { PodActions } from '../../../lifecycle/pod-actions.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import type { PodRef } from '../../../model/pod-key.ts'
import type { PodObservation } from '../../../model/pod-observation.ts'
import type { BackendEvent, PodHappening, PodSources } from '../../backend.ts'
import type { AttemptNotes } from './attempt-notes.ts'
import { decideActions, newBackoffs, sandboxRestMs, waitingFor } from './decide-actions.ts'
import { endPod, erase, noteEnding, takeDown } from './end-pod.ts'
import { followResize } from '../resources/follow-resize.ts'
import { carryOutHooks } from '../hooks/carry-out.ts'
import { breakSilence } from './deaf-shims.ts'
import { killContainers } from './kill.ts'
import type { ContainerPlan } from '../marks.ts'
import { observePod, type ObserveInput, type Waiting } from './observe.ts'
import { podPaths, type PodPaths } from '../paths.ts'
import type { PodAllocation } from '../resources/pod-allocation.ts'
import type { CriTools, PodHandle } from './pod-context.ts'
import type { Ending } from './pod-store.ts'
import { PodSupport } from './pod-support.ts'
import { restartAll } from './restart-all.ts'
import { troubleOf, type Trouble } from './retry.ts'
import type { RoomyPod } from '../resources/sandbox-room.ts'
import { Rounds } from './rounds.ts'
import { RuntimePicture } from '../runtime/runtime-picture.ts'
import { Setbacks, wholePod } from './setbacks.ts'
import { shed } from './shed-containers.ts'
import { startAll } from './start-all.ts'
import { startSandbox } from './start-sandbox.ts'
import { Stops } from './stops.ts'
import { terminationMessage } from '../translate/termination-message.ts'
import { plannedContainers } from '../translate/translate.ts'

export interface PodLoopInput {
  readonly tools: CriTools
  readonly ref: PodRef
  readonly nodeName: string
  readonly plans: readonly ContainerPlan[]
  /** Loaded. */
  readonly notes: AttemptNotes
  readonly allocation: PodAllocation
  readonly ending: Ending | undefined
  readonly publish: (event: BackendEvent) => void
}

// In kubelet's words.
const sandboxChanged = {
  type: 'Normal',
  reason: 'SandboxChanged',
  message: 'Pod sandbox changed, it will be killed and re-created.',
} as const

/**
 * One Pod's life on the runtime: look, decide by `podActions`, act, again, for as long as there is something to do.
 * Everything that wakes it only says that something may have changed. One round at a time. What an act takes is told
 * by the files of that name: `kill.ts`, `restart-all.ts`, `hooks/`, `start-sandbox.ts`, `start-all.ts`, `end-pod.ts`.
 */
export class PodLoop {
  readonly picture: RuntimePicture
  readonly #handle: PodHandle
  readonly #allocation: PodAllocation
  readonly #publish: (event: BackendEvent) => void
  readonly #rounds: Rounds
  readonly #setbacks: Setbacks
  readonly #waits = new AbortController()
  #nodeName: string
  #room: RoomyPod['room']
  #plans: readonly ContainerPlan[]
  #support: PodSupport | undefined
  #ending: Ending | undefined
  #lastEnd: Promise<void> = Promise.resolve()
  #takeDownStage: 'not begun' | 'under way' | 'over' = 'not begun'
  #waiting: ReadonlyMap<string, Waiting> = new Map()
  #restartingAll = false
  #shedding: Promise<void> | undefined
  #lastPublished = ''

  constructor({ tools, ref, nodeName, plans, notes, allocation, ending, publish }: PodLoopInput) {
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
      notes,
      stops: new Stops(),
      tell: (happening) => this.#tell(happening),
    }
    this.#nodeName = nodeName
    this.#plans = plans
    this.#allocation = allocation
    this.#ending = ending
    // What an earlier process was ending, this one never starts.
    if (ending) this.#takeDownStage = 'under way'
    this.#publish = publish
    this.#setbacks = new Setbacks(clock)
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
    return this.#takeDownStage === 'over'
  }

  get ending(): boolean {
    return this.#ending !== undefined
  }

  /** Takes the Pod under supervision, or over a changed one; its size is set aside, durably, when it resolves. */
  async supervise({ pod, room }: RoomyPod, sources: PodSources): Promise<void> {
    if (this.#ending) return
    this.#room = room
    await this.#allocation.setAside(pod)
    if (this.#ending || this.#rounds.signal.aborted) return
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

  /** Ends the Pod for good. Durable before it resolves, unless the disk is full. A later call may shorten the grace. */
  async stop(graceSeconds: number): Promise<void> {
    await this.#end({ deadlineMs: this.#nowMs() + graceSeconds * 1000 })
    this.nudge()
  }

  /** Something of this Pod may have changed in the picture. */
  changed(): void {
    this.publish()
    this.nudge()
  }

  /** What was missing may be there now: does not wait for the back-off. */
  retry(): void {
    this.#setbacks.lift()
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

  /** Gives back disk, if the Pod has stopped or is about to. */
  async shed(signal: AbortSignal): Promise<void> {
    if (this.#takeDownStage === 'not begun' || this.#rounds.signal.aborted) return
    this.#shedding ??= shed(this.#handle, signal).finally(() => {
      this.#shedding = undefined
    })
    await this.#shedding
  }

  /** Removes the evidence. The Pod has stopped. */
  async erase(signal: AbortSignal): Promise<void> {
    // First: nobody is to be told of a Pod that is half gone.
    await this.close()
    await this.#shedding?.catch(() => undefined)
    await erase(this.#handle, signal)
  }

  async #round(signal: AbortSignal): Promise<void> {
    try {
      if (this.#ending) await this.#takeDown(signal)
      else if (this.#support) await this.#act(this.#decide(this.#support), this.#support, signal)
    } catch (error) {
      this.#failed(wholePod, error)
    }
    this.publish()
    await breakSilence(this.#handle, this.#setbacks.silentMs, signal)
  }

  #decide(support: PodSupport): PodActions {
    support.followProbes()
    const actions = decideActions(support, this.#observeInput(), this.#nowMs())
    const waiting = waitingFor(actions, this.#waiting)
    for (const happening of newBackoffs(waiting, this.#waiting, support)) this.#tell(happening)
    this.#waiting = waiting
    this.#restartingAll = actions.restartAll !== undefined
    this.#setbacks.keep([wholePod, ...actions.start.map(({ name }) => name)])
    return actions
  }

  /** In this order: finish, kill, hooks, sandbox, resize, start. What was changed is looked at again before anything else. */
  async #act(actions: PodActions, support: PodSupport, signal: AbortSignal): Promise<void> {
    if (actions.finished) {
      await this.#end({ deadlineMs: this.#nowMs() + support.graceSeconds * 1000 })
      return this.nudge()
    }
    this.publish()
    await this.#kill(actions, support, signal)
    if (actions.restartAll) return await this.#restartAll(actions.restartAll, support, signal)
    if (actions.hooks.length > 0) await this.#carryOut(actions.hooks, support, signal)
    if (!actions.createSandbox && !actions.killPod) await this.#resize(support, signal)
    const heldMs = this.#heldMs(actions)
    if (heldMs > 0) return this.#rounds.wakeIn(heldMs)
    if (actions.createSandbox) await this.#makeSandbox(actions.createSandbox, support, signal)
    else await this.#start(actions, support, signal)
    this.#setbacks.over(wholePod)
  }

  async #kill({ killPod, kill }: PodActions, support: PodSupport, signal: AbortSignal): Promise<void> {
    const deadlineMs = this.#nowMs() + support.graceSeconds * 1000
    if (killPod) await endPod({ ...this.#handle, plans: this.#plans, deadlineMs }, signal)
    else if (await killContainers(this.#handle, kill, signal)) this.nudge()
  }

  async #restartAll(running: readonly string[], support: PodSupport, signal: AbortSignal): Promise<void> {
    const { initContainers = [], containers = [] } = support.pod.spec ?? {}
    const names = [...initContainers, ...containers].map(({ name }) => name)
    await restartAll(this.#handle, { running, names }, signal)
    this.nudge()
  }

  async #carryOut(hooks: readonly string[], support: PodSupport, signal: AbortSignal): Promise<void> {
    const waits = this.#waits.signal
    try {
      await carryOutHooks({ ...this.#handle, support, hooks }, AbortSignal.any([waits, signal]))
    } catch (error) {
      if (!waits.aborted) throw error
    }
    this.nudge()
  }

  async #resize({ pod }: PodSupport, signal: AbortSignal): Promise<void> {
    const againMs = await followResize({ ...this.#handle, pod, allocation: this.#allocation }, signal)
    if (againMs !== undefined) this.#rounds.wakeIn(againMs)
  }

  /** How long everything that is to be made has to wait: for a back-off, or because the last sandbox is too young. */
  #heldMs(actions: PodActions): number {
    const { createSandbox, start } = actions
    if (createSandbox === undefined && start.length === 0) return 0
    const youngMs = sandboxRestMs(actions, this.picture.current, this.#nowMs())
    return Math.max(this.#setbacks.leftMs(wholePod), youngMs)
  }

  async #makeSandbox(
    { attempt }: { readonly attempt: number },
    support: PodSupport,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.picture.current) this.#tell(sandboxChanged)
    const { pod, sources } = support
    const onAsked = (): void => support.prepare(this.#waits.signal)
    await startSandbox({ ...this.#handle, pod, sources, onAsked }, attempt, signal)
    this.nudge()
  }

  async #start({ start, wakeAtMs }: PodActions, support: PodSupport, signal: AbortSignal): Promise<void> {
    const held = start.map(({ name }) => this.#setbacks.leftMs(name)).filter((leftMs) => leftMs > 0)
    const starts = start.filter(({ name }) => this.#setbacks.leftMs(name) <= 0)
    const backoffs = wakeAtMs === undefined ? [] : [wakeAtMs - this.#nowMs()]
    const wakeMs = Math.min(...held, ...backoffs)
    if (wakeMs < Infinity) this.#rounds.wakeIn(wakeMs)
    if (starts.length === 0) return
    if (starts.some(({ attempt }) => attempt > 0) && (await this.#sandboxLost(signal))) return
    const waiting = new Map(this.#waiting)
    const stepped = (): void => {
      this.#waiting = new Map(waiting)
      support.followProbes()
      this.publish()
    }
    const steps = {
      onStarted: (name: string): void => {
        waiting.delete(name)
        this.#setbacks.over(name)
        this.nudge()
        stepped()
      },
      onFailed: (name: string, error: unknown): void => {
        waiting.set(name, this.#failed(name, error))
        stepped()
      },
    }
    await startAll({ ...this.#handle, support, starts, waits: this.#waits.signal, ...steps }, signal)
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

  async #takeDown(signal: AbortSignal): Promise<void> {
    if (this.stopped) return
    this.#takeDownStage = 'under way'
    this.#support?.stopWaiting()
    const deadlineMs = this.#ending?.deadlineMs ?? 0
    await takeDown({ ...this.#handle, plans: this.#plans, deadlineMs }, signal)
    this.#support?.close()
    this.#waiting = new Map()
    this.#setbacks.keep([])
    this.#takeDownStage = 'over'
  }

  /** One after the other: the Pod may be stopped, and stopped sooner, while its end is being noted. */
  async #end(ending: Ending): Promise<void> {
    const end = this.#lastEnd.then(async () => {
      if (this.stopped || (this.#ending && this.#ending.deadlineMs <= ending.deadlineMs)) return
      await noteEnding(this.#handle, ending)
      this.#ending = ending
      this.#waits.abort(new SpillwayError('Unavailable', 'the Pod is being stopped'))
      // What is being ended already has no more grace than the Pod.
      this.#handle.stops.hurry(ending.deadlineMs)
      this.publish()
    })
    this.#lastEnd = end.catch(() => undefined)
    await end
  }

  #nowMs(): number {
    return this.#handle.tools.clock.wallMs()
  }

  #failed(key: string, error: unknown): Trouble {
    // What was let go because the Pod is to end is no failure of it.
    if (this.#rounds.signal.aborted || error === this.#waits.signal.reason) return troubleOf(error)
    const { trouble, delayMs } = this.#setbacks.failed(key, error)
    this.#handle.tools.log.warn({ pod: this.ref.uid, ...trouble, delayMs }, 'the Pod cannot get further')
    if (trouble.reason.startsWith('Failed')) this.#tell({ type: 'Warning', ...trouble })
    this.#rounds.wakeIn(delayMs)
    return trouble
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
      room: this.#room,
      waiting: this.#waiting,
      wellness: this.#support?.probes.wellness ?? new Map(),
      notes: this.#handle.notes,
      trouble: this.#setbacks.trouble,
      allocation: this.#allocation.told,
      restartingAll: this.#restartingAll,
      ending: this.stopped ? 'done' : this.#ending ? 'under way' : 'no',
    }
  }
}
