import type { Backend, PodSources } from '../backends/backend.ts'
import { admit, type Verdict } from '../lifecycle/admission.ts'
import { decide, isTerminal, type DesiredPod, type Step } from '../lifecycle/decide.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import type { DesiredPods } from './desired-pods.ts'
import type { Observations } from './observations.ts'
import type { StatusReporter, Refusal } from './status-reporter.ts'

/** What the bill needs to hear, and when it must be durable. billing/meter.ts is the one implementation. */
export interface Meter {
  /** Durable when it resolves. Rejects with LedgerUnavailable: then nothing starts. */
  intent(pod: Pod, node: MeteredNode, signal: AbortSignal): Promise<void>
  /** What the backend's own times say was held and has ended. Durable when it resolves; cheap when nothing is new. */
  record(pod: Pod | undefined, observed: PodObservation, signal: AbortSignal): Promise<void>
  stopping(uid: PodUid, incarnation: number, signal: AbortSignal): Promise<void>
  /** The backend has lost the Pod: closed at the last time that it was seen. */
  closeLost(uid: PodUid, signal: AbortSignal): Promise<void>
  /** It never started. */
  voided(uid: PodUid, reason: string, signal: AbortSignal): Promise<void>
}

export interface MeteredNode {
  readonly pool: string
  readonly node: string
  readonly priceBook: string
}

/** The Kubernetes Event that people see in `kubectl describe pod`. */
export type PodEventSink = (pod: Pod, event: PodEvent) => void

export interface PodEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
  /** As in `spec.containers{web}`; absent when the whole Pod is meant. */
  readonly fieldPath?: string
}

export interface PodWorkerOptions {
  readonly backend: Backend
  readonly desired: DesiredPods
  readonly observations: Observations
  readonly sources: (pod: Pod) => PodSources
  /** Nothing of the Pod is left on either side. */
  readonly settled: (uid: PodUid) => void
  readonly node: () => Node | undefined
  readonly metered: MeteredNode
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

// The first status waits a moment: when the container is up by then, "ContainerCreating" and "Running" are one write.
const firstReportDelayMs = 400
// One that is on its way is told of this often: "the sandbox is ready" alone is not worth a write.
const quickReportEveryMs = 2_000
const retryStartMs = 1_000

/** The life of the Pods of one virtual node. `syncPod` is the straight line; everything else hangs off it. */
export class PodWorker {
  readonly #options: PodWorkerOptions
  /** Pods let in by this process; those of an earlier one are known by being observed. */
  readonly #admitted = new Set<PodUid>()
  readonly #held = new Set<PodUid>()
  readonly #acceptedAtMs = new Map<PodUid, number>()
  /** Wall time of the last write about a Pod that was on its way. */
  readonly #toldOnTheWayMs = new Map<PodUid, number>()
  /** Labels and annotations as the backend was given them. */
  readonly #handedOver = new Map<PodUid, string>()

  constructor(options: PodWorkerOptions) {
    this.#options = options
  }

  /** One look at one Pod: observe → decide → act → meter → report → finish. Rejects to be called again later. */
  async syncPod(uid: PodUid, signal: AbortSignal): Promise<Again> {
    const { desired: desiredPods, observations } = this.#options
    // Before both sides are whole, an absence means nothing.
    if (!desiredPods.synced || !observations.synced) return { afterMs: 100 }
    const desired = desiredPods.get(uid)
    const observed = observations.get(uid)
    const step = decide({ desired, observed, metadataChanged: this.#hasNewMetadata(desired) })
    const acted = await this.#act(step, desired, signal)
    const metered = await this.#meter(desired, observed, signal)
    const again = await this.#report(desired, observed, acted, signal)
    await this.#finish(step, { uid, desired, observed, metered }, signal)
    return soonest(again, acted.again)
  }

  /** Whether the Pod has passed the door, now or in an earlier life of the process. */
  isAdmitted(uid: PodUid): boolean {
    return this.#admitted.has(uid) || this.#options.observations.get(uid) !== undefined
  }

  async #act(step: Step, desired: DesiredPod, signal: AbortSignal): Promise<Acted> {
    const { backend, meter, observations, sources } = this.#options
    const pod = podOf(desired)
    if (!pod) return {}
    const uid = pod.metadata?.uid as PodUid
    switch (step.do) {
      case 'admit':
        return await this.#admit(pod, signal)
      case 'adopt':
        return await this.#started(pod, () => backend.start(pod, sources(pod), signal))
      case 'replaceLost':
        await meter.closeLost(uid, signal)
        // What may not be restarted is over, and is said to be before anything could run twice.
        return (await this.#isOverWithoutTrace(pod, signal)) ? {} : await this.#start(pod, signal)
      case 'update':
        return await this.#started(pod, () => backend.update(pod, signal))
      case 'stop': {
        const incarnation = observations.get(uid)?.incarnation ?? 0
        // A ledger that cannot be written must not keep a Pod alive: the backend's own times close the bill later.
        await this.#tolerate('stopping record', meter.stopping(uid, incarnation, signal), signal)
        await ignoreNotFound(backend.stop(uid, { graceSeconds: step.graceSeconds }, signal))
        return {}
      }
      case 'delete':
      case 'forget':
      case 'nothing':
        return {}
    }
  }

  async #admit(pod: Pod, signal: AbortSignal): Promise<Acted> {
    const uid = pod.metadata?.uid as PodUid
    const verdict = this.#verdict(pod)
    if (!verdict) return { again: { afterMs: 200 } }
    switch (verdict.kind) {
      case 'admit':
        this.#held.delete(uid)
        this.#admitted.add(uid)
        return await this.#start(pod, signal)
      case 'refuse':
        this.#options.recordEvent(pod, { type: 'Warning', reason: verdict.reason, message: verdict.message })
        return { refusal: verdict }
      case 'hold':
        if (!this.#held.has(uid)) {
          this.#held.add(uid)
          this.#options.recordEvent(pod, {
            type: 'Warning',
            reason: verdict.reason,
            message: verdict.message,
          })
        }
        return { held: true }
    }
  }

  #verdict(pod: Pod): Verdict | undefined {
    const { backend, desired } = this.#options
    const node = this.#options.node()
    if (!node) return undefined
    const others = desired
      .unfinished()
      .filter(
        ({ metadata }) => metadata?.uid !== pod.metadata?.uid && this.isAdmitted(metadata?.uid as PodUid),
      )
    return admit({ pod, node, others, capabilities: backend.capabilities() })
  }

  async #start(pod: Pod, signal: AbortSignal): Promise<Acted> {
    const { backend, clock, meter, metered, sources } = this.#options
    const uid = pod.metadata?.uid as PodUid
    if (!this.#acceptedAtMs.has(uid)) this.#acceptedAtMs.set(uid, clock.wallMs())
    try {
      await meter.intent(pod, metered, signal)
    } catch (error) {
      if (!hasCode(error, 'LedgerUnavailable')) throw error
      this.#options.recordEvent(pod, { type: 'Warning', reason: 'LedgerUnavailable', message: error.message })
      throw error
    }
    return await this.#started(pod, () => backend.start(pod, sources(pod), signal))
  }

  async #isOverWithoutTrace(pod: Pod, signal: AbortSignal): Promise<boolean> {
    const { desired, reporter } = this.#options
    const none = { observed: undefined, refusal: undefined, acceptedAtMs: undefined }
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
    return await this.#tolerate('usage record', meter.record(podOf(desired), observed, signal), signal)
  }

  async #report(
    desired: DesiredPod,
    observed: PodObservation | undefined,
    acted: Acted,
    signal: AbortSignal,
  ): Promise<Again> {
    const { clock, desired: desiredPods, reporter } = this.#options
    if (desired.kind !== 'present' || acted.held) return {}
    const { pod } = desired
    const uid = pod.metadata?.uid as PodUid
    const acceptedAtMs = this.#acceptedAtMs.get(uid)
    if (!observed && !acted.refusal) {
      if (acceptedAtMs === undefined) return {}
    }
    if (!acted.refusal && isStillQuick(observed)) {
      const waitMs = this.#tellOnTheWayAtMs(uid) - clock.wallMs()
      if (waitMs > 0) return { afterMs: waitMs }
      this.#toldOnTheWayMs.set(uid, clock.wallMs())
    }
    const written = await reporter.report({ pod, observed, refusal: acted.refusal, acceptedAtMs }, signal)
    if (written) desiredPods.wrote(uid, written)
    return {}
  }

  #tellOnTheWayAtMs(uid: PodUid): number {
    const toldMs = this.#toldOnTheWayMs.get(uid)
    if (toldMs !== undefined) return toldMs + quickReportEveryMs
    return (this.#acceptedAtMs.get(uid) ?? 0) + firstReportDelayMs
  }

  /** The end, in the order that loses nothing: CLOSED is durable, the last status is written, then object and evidence go. */
  async #finish(step: Step, end: PodEnd, signal: AbortSignal): Promise<void> {
    const { backend, desired, log, meter, reporter } = this.#options
    if (step.do === 'delete' && end.desired.kind === 'present') {
      if (!end.observed)
        await this.#tolerate(
          'void record',
          meter.voided(end.uid, 'deleted before it started', signal),
          signal,
        )
      await reporter.deleteObject(end.desired.pod, signal)
    }
    if (step.do === 'forget' && end.metered) {
      await backend.forget(end.uid, signal)
      log.debug({ pod: end.uid }, 'pod forgotten')
    }
    if (end.desired.kind === 'deleted' && !this.#options.observations.get(end.uid)) {
      if (!end.observed)
        await this.#tolerate(
          'void record',
          meter.voided(end.uid, 'deleted before it started', signal),
          signal,
        )
      desired.settled(end.uid)
      this.#admitted.delete(end.uid)
      this.#held.delete(end.uid)
      this.#acceptedAtMs.delete(end.uid)
      this.#toldOnTheWayMs.delete(end.uid)
      this.#handedOver.delete(end.uid)
      this.#options.settled(end.uid)
    }
  }

  /** For writes to the ledger that the Pod's way must not wait for. The next pass makes them again. */
  async #tolerate(what: string, write: Promise<void>, signal: AbortSignal): Promise<boolean> {
    try {
      await write
      return true
    } catch (error) {
      signal.throwIfAborted()
      this.#options.log.error({ what, error: errorMessage(error) }, 'ledger write failed; the pod goes on')
      return false
    }
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

/** Nothing worth a write of its own yet: on the way, without trouble, and no container has ended. */
function isStillQuick(observed: PodObservation | undefined): boolean {
  if (!observed) return true
  return (
    observed.phase === 'starting' &&
    observed.trouble === undefined &&
    observed.containers.every(({ state }) => state.kind === 'waiting' && !/BackOff|Err/.test(state.reason))
  )
}

function soonest(a: Again, b: Again | undefined): Again {
  const times = [a.afterMs, b?.afterMs].filter((ms) => ms !== undefined)
  return times.length > 0 ? { afterMs: Math.min(...times) } : {}
}

async function ignoreNotFound(call: Promise<void>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!(error instanceof SpillwayError && error.code === 'NotFound')) throw error
  }
}
