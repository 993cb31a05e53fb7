import {
  adoptedProbeStates,
  concludeProbes,
  initialProbeStates,
  probeTiming,
  withProbeResult,
  type ProbeConclusion,
  type ProbeKind,
  type ProbeStates,
} from '../../../lifecycle/probe-state.ts'
import type { Clock } from '../../../model/clock.ts'
import type { Container, Probe } from '../../../model/kubernetes.ts'
import type { PodHappening } from '../../backend.ts'
import type { ExecInContainer } from '../runtime/exec-in-container.ts'
import type { ProbeOutcome } from './probe-outcome.ts'
import { runProbe } from './run-probe.ts'

export interface ProberInput {
  readonly container: Container
  /** For events, as in `spec.containers{web}`. */
  readonly fieldPath: string
  readonly podIp: string
  /** When this attempt of the container started, in wall milliseconds. */
  readonly startedAtMs: number
  /** Set for a container that an earlier life of this process started: what was known of it then. */
  readonly adopted?: { readonly started: boolean; readonly ready: boolean }
  readonly exec: ExecInContainer
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** The Pod is being ended: readiness goes on being probed, a failure of liveness or startup has no meaning any more. */
  readonly isStopping: () => boolean
  /** Called each time that what the probes amount to has changed. */
  readonly onConclusion: (conclusion: ProbeConclusion) => void
  /** Kubelet's events `Unhealthy` and `ProbeWarning`. */
  readonly onHappening: (happening: PodHappening) => void
}

const firstLookMs = 100
const longestLookMs = 1000

/**
 * Probes one attempt of one container, from its start until the signal is aborted, by kubelet's rules
 * (pkg/kubelet/prober), but for the beginning. Kubelet's first probe comes up to a period after the start, so that a Pod
 * which serves after 50 ms may be Ready after 10 s. We look at once, and again after 0.1, 0.2, 0.4 … 1 s, until that
 * first period is over. Of these early looks only a success counts: a failure is neither told nor added up, so that no
 * container gets less time to start than under kubelet.
 */
export class Prober {
  readonly #input: ProberInput
  readonly #startedAtMonotonicMs: number
  #states: ProbeStates
  #conclusion: ProbeConclusion

  constructor(input: ProberInput) {
    this.#input = input
    const { container, adopted, clock } = input
    this.#startedAtMonotonicMs = clock.monotonicMs() - Math.max(clock.wallMs() - input.startedAtMs, 0)
    this.#states = adopted ? adoptedProbeStates(container, adopted) : initialProbeStates(container)
    this.#conclusion = concludeProbes(this.#states)
  }

  get conclusion(): ProbeConclusion {
    return this.#conclusion
  }

  /** Resolves when the signal is aborted, or nothing is left to probe. Never rejects for what a probe finds. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#loop('startup', signal)
      await Promise.all([this.#loop('readiness', signal), this.#loop('liveness', signal)])
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async #loop(kind: ProbeKind, signal: AbortSignal): Promise<void> {
    const probe = this.#probe(kind)
    if (!probe || this.#states[kind]?.settled) return
    // A container that failed to start is about to be killed.
    if (kind !== 'startup' && !this.#conclusion.started) return
    const { periodMs } = probeTiming(probe)
    let dueAtMs = await this.#begin(kind, probe, signal)
    while (!this.#states[kind]?.settled) {
      await this.#sleepUntil(dueAtMs, signal)
      if (kind !== 'readiness' && this.#input.isStopping()) return
      const outcome = await this.#run(probe, signal)
      this.#tell(kind, outcome)
      this.#count(kind, probe, outcome)
      dueAtMs = Math.max(dueAtMs + periodMs, this.#nowMs())
    }
  }

  /** Answers when the first probe that counts is due. */
  async #begin(kind: ProbeKind, probe: Probe, signal: AbortSignal): Promise<number> {
    const { initialDelayMs, periodMs } = probeTiming(probe)
    // After a restart of ours: spread, so that not all containers are probed in the same instant.
    if (this.#input.adopted) return this.#nowMs() + this.#input.random() * periodMs
    const firstMs = Math.max(this.#startedAtMonotonicMs + initialDelayMs, this.#nowMs())
    const countedFromMs = Math.max(this.#startedAtMonotonicMs + Math.max(initialDelayMs, periodMs), firstMs)
    // Early looks could only tell of a liveness what is assumed anyway.
    if (kind === 'liveness') return countedFromMs
    let gapMs = firstLookMs
    for (
      let atMs = firstMs;
      atMs < countedFromMs;
      atMs = this.#nowMs() + gapMs, gapMs = Math.min(gapMs * 2, longestLookMs)
    ) {
      await this.#sleepUntil(atMs, signal)
      const outcome = await this.#run(probe, signal)
      if (outcome.result !== 'success' && outcome.result !== 'warning') continue
      this.#tell(kind, outcome)
      this.#count(kind, probe, outcome)
      return this.#nowMs() + periodMs
    }
    return Math.max(countedFromMs, this.#nowMs())
  }

  async #run(probe: Probe, signal: AbortSignal): Promise<ProbeOutcome> {
    const outcome = await runProbe(probe, this.#input, signal)
    signal.throwIfAborted()
    return outcome
  }

  #count(kind: ProbeKind, probe: Probe, outcome: ProbeOutcome): void {
    const state = this.#states[kind]
    if (!state) return
    const result = outcome.result === 'warning' ? 'success' : outcome.result
    this.#states = { ...this.#states, [kind]: withProbeResult(state, probe, result) }
    const before = this.#conclusion
    this.#conclusion = concludeProbes(this.#states)
    const { started, ready, kill } = this.#conclusion
    if (before.started !== started || before.ready !== ready || before.kill !== kill) {
      this.#input.onConclusion(this.#conclusion)
    }
  }

  #tell(kind: ProbeKind, outcome: ProbeOutcome): void {
    const { fieldPath, onHappening } = this.#input
    const title = `${kind.charAt(0).toUpperCase()}${kind.slice(1)} probe`
    const tell = (reason: string, message: string): void =>
      onHappening({ type: 'Warning', reason, message, fieldPath })
    if (outcome.result === 'failure') tell('Unhealthy', `${title} failed: ${outcome.output}`)
    if (outcome.result === 'warning') tell('ProbeWarning', `${title} warning: ${outcome.output}`)
    if (outcome.result === 'unknown') {
      const { state = 'unknown', error } = outcome
      tell('Unhealthy', `${title} errored and resulted in ${state} state: ${error}`)
    }
  }

  #probe(kind: ProbeKind): Probe | undefined {
    const { startupProbe, readinessProbe, livenessProbe } = this.#input.container
    return { startup: startupProbe, readiness: readinessProbe, liveness: livenessProbe }[kind]
  }

  #nowMs(): number {
    return this.#input.clock.monotonicMs()
  }

  async #sleepUntil(atMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const restMs = atMs - this.#nowMs()
    if (restMs > 0) await this.#input.clock.sleep(restMs, signal)
  }
}
