import type { Backend, PodSources } from '../backends/backend.ts'
import { activeDeadlineMs, deadlineExceeded, isPastDeadline } from '../lifecycle/active-deadline.ts'
import type { AdmissionRule, BudgetRefused } from '../lifecycle/admission.ts'
import { decide, isTerminal, type DesiredPod, type Step } from '../lifecycle/decide.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import { Allocations, type SizeView } from './allocations.ts'
import type { DesiredPods } from './desired-pods.ts'
import { Door } from './door.ts'
import { tolerated, type Meter, type MeteredNode } from './meter.ts'
import type { Observations } from './observations.ts'
import type { PodEventSink } from './pod-event.ts'
import type { PriceTags } from './price-annotations.ts'
import { ReportPace } from './report-pace.ts'
import { Resizes } from './resizes.ts'
import type { SandboxRules } from './sandbox-rules.ts'
import type { StatusReporter, Refusal } from './status-reporter.ts'

export interface PodWorkerOptions {
  readonly backend: Backend
  readonly desired: DesiredPods
  readonly observations: Observations
  readonly sources: (pod: Pod) => PodSources
  readonly sandboxes: SandboxRules
  /** Look at this Pod again. */
  readonly changed: (uid: PodUid) => void
  /** Nothing of the Pod is left on either side. */
  readonly settled: (uid: PodUid) => void
  readonly node: () => Node | undefined
  /** Pods that other nodes on the same backend have let in and that have not ended. */
  readonly neighbours: () => readonly Pod[]
  readonly policy: readonly AdmissionRule[]
  /** Why the Pod may not start for what it costs; undefined: it may. */
  readonly budget: (pod: Pod) => BudgetRefused | undefined
  /** Marks the Pod for its end, for a critical one's sake. */
  readonly preempt: (victim: Pod, signal: AbortSignal) => Promise<void>
  readonly metered: () => MeteredNode
  readonly meter: Meter
  readonly reporter: StatusReporter
  readonly recordEvent: PodEventSink
  readonly clock: Clock
  readonly log: Log
}

/** When to look again without being told to. */
export interface Again {
  readonly afterMs?: number
}

const retryStartMs = 1_000
// What is held waits for something that nobody tells it of.
const lookAgainMs = 5_000
// Others are ending for its sake.
const roomAgainMs = 500
// Deadlines may be years away, further than a timer reaches.
const longestWaitMs = 3_600_000

/** The life of the Pods of one virtual node. `syncPod` is the straight line; everything else hangs off it. */
export class PodWorker {
  readonly #options: PodWorkerOptions
  readonly #allocations: Allocations
  readonly #door: Door
  readonly #resizes: Resizes
  readonly #pace: ReportPace
  /** Labels and annotations as the backend was given them. */
  readonly #handedOver = new Map<PodUid, string>()

  constructor(options: PodWorkerOptions) {
    this.#options = options
    const { clock } = options
    const allocations = new Allocations(options)
    this.#allocations = allocations
    this.#door = new Door({ ...options, allocations })
    this.#resizes = new Resizes({ ...options, allocations })
    this.#pace = new ReportPace(clock)
  }

  /** One look at one Pod: observe → decide → act → meter → report → finish. Rejects to be called again later. */
  async syncPod(uid: PodUid, signal: AbortSignal): Promise<Again> {
    const { desired: desiredPods, observations } = this.#options
    // Before both sides are whole, an absence means nothing.
    if (!desiredPods.synced || !observations.synced) return { afterMs: 100 }
    const desired = desiredPods.get(uid)
    const observed = observations.get(uid)
    const { granted: sizeGranted, pending } = this.#resizes.look(desired, observed)
    const step = decide({
      desired,
      observed,
      metadataChanged: this.#hasNewMetadata(desired),
      sizeGranted,
      pastDeadline: this.#isPastDeadline(desired, observed),
    })
    const acted = await this.#act(step, desired, signal)
    const metered = await this.#meter(desired, observed, signal)
    const again = await this.#report(desired, observed, { ...acted, pending, metered }, signal)
    await this.#finish(step, { uid, desired, observed, metered }, signal)
    this.#allocations.retryIfFreed()
    return soonest(again, acted.again, this.#deadline(desired))
  }

  /** Asks anew for the resizes that wait for room, should there be some that nobody saw come. */
  retryResizes(): void {
    this.#allocations.retry()
  }

  /** The Pods that are in and have not ended. */
  admitted(): readonly Pod[] {
    return this.#allocations.besides(undefined)
  }

  async #act(step: Step, desired: DesiredPod, signal: AbortSignal): Promise<Acted> {
    const { meter } = this.#options
    const pod = podOf(desired)
    if (!pod) return {}
    const uid = pod.metadata?.uid as PodUid
    switch (step.do) {
      case 'admit':
        return await this.#admit(pod, signal)
      case 'adopt':
        return await this.#started(pod, () => this.#startAtSize(pod, signal))
      case 'replaceLost':
        await meter.closeLost(uid, signal)
        // What may not be restarted is over, and is said to be before anything could run twice.
        if (await this.#isOverWithoutTrace(pod, signal)) return {}
        this.#allocations.lost(pod)
        return await this.#start(pod, signal)
      case 'update':
        return await this.#started(pod, () => this.#resizes.handOver(pod, signal))
      case 'expire':
        this.#options.recordEvent(pod, { type: 'Normal', ...deadlineExceeded })
        return await this.#stop(uid, step.graceSeconds, signal)
      case 'stop':
        return await this.#stop(uid, step.graceSeconds, signal)
      case 'delete':
      case 'forget':
      case 'nothing':
        return {}
    }
  }

  async #admit(pod: Pod, signal: AbortSignal): Promise<Acted> {
    const verdict = this.#door.ask(pod)
    if (!verdict) return { again: { afterMs: 200 } }
    switch (verdict.kind) {
      case 'admit':
        return await this.#start(pod, signal)
      case 'refuse':
        return { refusal: verdict }
      case 'hold':
        return { held: true, again: { afterMs: lookAgainMs } }
      case 'preempt':
        await Promise.all(verdict.victims.map((victim) => this.#options.preempt(victim, signal)))
        return { held: true, again: { afterMs: roomAgainMs } }
    }
  }

  async #start(pod: Pod, signal: AbortSignal): Promise<Acted> {
    const { meter, metered } = this.#options
    this.#pace.accepted(pod.metadata?.uid as PodUid)
    try {
      await meter.intent(this.#allocations.handOver(pod), metered(), signal)
    } catch (error) {
      const isOutage = hasCode(error, 'LedgerUnavailable') || hasCode(error, 'LedgerCorrupt')
      if (!isOutage) throw error
      this.#options.recordEvent(pod, { type: 'Warning', reason: error.code, message: error.message })
      if (error.retry) throw error
      // To try again is of no use until people have mended it, which they may do while we run.
      return { held: true, again: { afterMs: lookAgainMs } }
    }
    return await this.#started(pod, () => this.#startAtSize(pod, signal))
  }

  async #startAtSize(pod: Pod, signal: AbortSignal): Promise<void> {
    const { backend, sources } = this.#options
    await backend.start(this.#allocations.handOver(pod), sources(pod), signal)
  }

  async #stop(uid: PodUid, graceSeconds: number, signal: AbortSignal): Promise<Acted> {
    const { backend, meter, observations } = this.#options
    const observed = observations.get(uid)
    // A ledger that cannot be written must not keep a Pod alive: the backend's own times close the bill later.
    if (observed) await this.#tolerated('stopping record', meter.stopping(observed, signal), signal)
    await ignoreNotFound(backend.stop(uid, { graceSeconds }, signal))
    return {}
  }

  #isPastDeadline(desired: DesiredPod, observed: PodObservation | undefined): boolean {
    return desired.kind === 'present' && isPastDeadline(desired.pod, observed, this.#options.clock.wallMs())
  }

  /** When to look again at a Pod that may not be active for longer. */
  #deadline(desired: DesiredPod): Again {
    if (desired.kind !== 'present' || isTerminal(desired.pod)) return {}
    const afterMs = (activeDeadlineMs(desired.pod) ?? 0) - this.#options.clock.wallMs()
    return afterMs > 0 ? { afterMs: Math.min(afterMs, longestWaitMs) } : {}
  }

  async #isOverWithoutTrace(pod: Pod, signal: AbortSignal): Promise<boolean> {
    const { desired, reporter } = this.#options
    const none = {
      observed: undefined,
      refusal: undefined,
      pendingResize: undefined,
      acceptedAtMs: undefined,
    }
    const written = await reporter.report({ pod, ...none }, signal)
    if (written) desired.wrote(pod.metadata?.uid as PodUid, written)
    return isTerminal(written ?? pod)
  }

  /** Only of what this process has handed over: after a restart the Pod is adopted, and with it what it says now. */
  #hasNewMetadata(desired: DesiredPod): boolean {
    if (desired.kind !== 'present') return false
    const before = this.#handedOver.get(desired.pod.metadata?.uid as PodUid)
    return before !== undefined && before !== metadataText(desired.pod)
  }

  /** Turns the backend's answer to start and update into what follows for the Pod. */
  async #started(pod: Pod, call: () => Promise<void>): Promise<Acted> {
    const uid = pod.metadata?.uid as PodUid
    // Before the answer: a change that the backend refuses is not put to it again and again.
    this.#handedOver.set(uid, metadataText(pod))
    try {
      await call()
      return {}
    } catch (error) {
      if (hasCode(error, 'Busy')) return { again: { afterMs: error.afterMs ?? retryStartMs } }
      if (hasCode(error, 'Rejected') || hasCode(error, 'Unsupported')) {
        const refusal = { reason: error.reason ?? error.code, message: error.message }
        this.#options.recordEvent(pod, { type: 'Warning', ...refusal })
        return isRunning(this.#options.observations.get(uid)) ? {} : { refusal }
      }
      throw error
    }
  }

  /** True when the ledger has everything that is known of the Pod. */
  async #meter(
    desired: DesiredPod,
    observed: PodObservation | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { meter } = this.#options
    if (!observed) return true
    return await this.#tolerated('usage record', meter.record(podOf(desired), observed, signal), signal)
  }

  async #report(
    desired: DesiredPod,
    observed: PodObservation | undefined,
    { refusal, held, pending, metered }: Acted & Pick<SizeView, 'pending'> & Pick<PodEnd, 'metered'>,
    signal: AbortSignal,
  ): Promise<Again> {
    const { desired: desiredPods, reporter } = this.#options
    if (desired.kind !== 'present' || held) return {}
    const { pod } = desired
    const uid = pod.metadata?.uid as PodUid
    const acceptedAtMs = this.#pace.acceptedAtMs(uid)
    if (!observed && !refusal && acceptedAtMs === undefined) return {}
    const waitMs = refusal ? 0 : this.#pace.waitMs(uid, observed)
    if (waitMs > 0) return { afterMs: waitMs }
    const isOver = metered && observed?.phase === 'stopped'
    const prices = refusal ? undefined : await this.#prices(uid, isOver, signal)
    const report = { pod, observed, refusal, pendingResize: pending, acceptedAtMs, prices }
    const written = await reporter.report(report, signal)
    if (written) desiredPods.wrote(uid, written)
    return {}
  }

  /** A ledger that cannot be read must not keep people from hearing how the Pod is. */
  async #prices(uid: PodUid, isOver: boolean, signal: AbortSignal): Promise<PriceTags | undefined> {
    try {
      return await this.#options.meter.priceTags(uid, isOver, signal)
    } catch (error) {
      signal.throwIfAborted()
      this.#options.log.warn({ pod: uid, error: errorMessage(error) }, 'the price of a pod cannot be read')
      return undefined
    }
  }

  /** The end, in the order that loses nothing: CLOSED is durable, the last status is written, then object and evidence go. */
  async #finish(step: Step, end: PodEnd, signal: AbortSignal): Promise<void> {
    const { backend, desired, log, observations, reporter, settled } = this.#options
    const { uid } = end
    if (step.do === 'delete' && end.desired.kind === 'present') {
      if (!end.observed) await this.#voided(uid, signal)
      await reporter.deleteObject(end.desired.pod, signal)
    }
    if (step.do === 'forget' && end.metered) {
      await backend.forget(uid, signal)
      log.debug({ pod: uid }, 'pod forgotten')
    }
    if (end.desired.kind === 'deleted' && !observations.get(uid)) {
      if (!end.observed) await this.#voided(uid, signal)
      desired.settled(uid)
      this.#allocations.settled(uid)
      this.#door.settled(uid)
      this.#resizes.settled(uid)
      this.#pace.settled(uid)
      reporter.settled(uid)
      this.#handedOver.delete(uid)
      settled(uid)
    }
  }

  async #voided(uid: PodUid, signal: AbortSignal): Promise<void> {
    const write = this.#options.meter.voided(uid, 'deleted before it started', signal)
    await this.#tolerated('void record', write, signal)
  }

  #tolerated(what: string, write: Promise<void>, signal: AbortSignal): Promise<boolean> {
    return tolerated(what, write, { log: this.#options.log, signal })
  }
}

interface Acted {
  readonly refusal?: Refusal
  readonly held?: boolean
  readonly again?: Again
}

interface PodEnd {
  readonly uid: PodUid
  readonly desired: DesiredPod
  readonly observed: PodObservation | undefined
  readonly metered: boolean
}

function metadataText({ metadata }: Pod): string {
  return JSON.stringify([metadata?.labels, metadata?.annotations])
}

function podOf(desired: DesiredPod): Pod | undefined {
  if (desired.kind === 'unknown') return undefined
  return desired.kind === 'present' ? desired.pod : desired.lastSeen
}

function isRunning(observed: PodObservation | undefined): boolean {
  return observed !== undefined && observed.phase !== 'stopped'
}

function soonest(...all: readonly (Again | undefined)[]): Again {
  const times = all.map((again) => again?.afterMs).filter((ms) => ms !== undefined)
  return times.length > 0 ? { afterMs: Math.min(...times) } : {}
}

async function ignoreNotFound(call: Promise<void>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!(error instanceof SpillwayError && error.code === 'NotFound')) throw error
  }
}
