import type { Container, Probe } from '../model/kubernetes.ts'

export type ProbeKind = 'liveness' | 'readiness' | 'startup'

/** `unknown`: the probe itself could not be carried out; it says nothing about the container. */
export type ProbeResult = 'success' | 'failure' | 'unknown'

/** What is known of one probe of one attempt of a container. A new attempt begins with `initialProbeState`. */
export interface ProbeState {
  readonly kind: ProbeKind
  /** What counts: changes only when a threshold is reached. Undefined while a startup probe has not decided. */
  readonly verdict: 'success' | 'failure' | undefined
  readonly lastResult: ProbeResult | undefined
  /** How many times in a row the last result has come. */
  readonly run: number
  /** No more probing of this attempt: startup is decided, or liveness has failed and the container is to be killed. */
  readonly settled: boolean
}

/** Kubelet's starting points (prober/worker.go): alive until proven dead, not ready until proven ready. */
export function initialProbeState(kind: ProbeKind): ProbeState {
  const verdict = kind === 'liveness' ? 'success' : kind === 'readiness' ? 'failure' : undefined
  return { kind, verdict, lastResult: undefined, run: 0, settled: false }
}

/** The state after one more result. */
export function withProbeResult(state: ProbeState, probe: Probe, result: ProbeResult): ProbeState {
  if (state.settled || result === 'unknown') return state
  const run = state.lastResult === result ? state.run + 1 : 1
  const threshold = result === 'success' ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3)
  const counted = { ...state, lastResult: result, run }
  if (run < threshold) return counted
  const settled = state.kind === 'startup' || (state.kind === 'liveness' && result === 'failure')
  return { ...counted, verdict: result, settled }
}

export interface ProbeTiming {
  readonly initialDelayMs: number
  readonly periodMs: number
  readonly timeoutMs: number
}

/** With the API server's defaults, for Pods that did not come through it. */
export function probeTiming(probe: Probe): ProbeTiming {
  return {
    initialDelayMs: (probe.initialDelaySeconds ?? 0) * 1000,
    periodMs: (probe.periodSeconds ?? 10) * 1000,
    timeoutMs: (probe.timeoutSeconds ?? 1) * 1000,
  }
}

/** The states of a container's probes; one that it does not have is absent. */
export type ProbeStates = Readonly<Partial<Record<ProbeKind, ProbeState>>>

/** The probes that the container has, at the start of an attempt. */
export function initialProbeStates(container: Container): ProbeStates {
  return {
    ...(container.startupProbe && { startup: initialProbeState('startup') }),
    ...(container.readinessProbe && { readiness: initialProbeState('readiness') }),
    ...(container.livenessProbe && { liveness: initialProbeState('liveness') }),
  }
}

/** Whether the probe is to be run now: the startup probe alone until it has succeeded, then the others. */
export function isProbeDue(states: ProbeStates, kind: ProbeKind): boolean {
  const state = states[kind]
  if (!state || state.settled) return false
  return kind === 'startup' || hasStarted(states)
}

/**
 * When a probe runs next (same clock as the arguments): `initialDelay` after the container's start at the earliest, a
 * period after the last one. The first run of a container that was adopted is spread over a period by the caller, which
 * has the randomness.
 */
export function nextProbeAtMs(
  probe: Probe,
  at: { readonly startedAtMs: number; readonly lastProbeAtMs: number | undefined },
): number {
  const { initialDelayMs, periodMs } = probeTiming(probe)
  const earliestMs = at.startedAtMs + initialDelayMs
  return at.lastProbeAtMs === undefined ? earliestMs : Math.max(earliestMs, at.lastProbeAtMs + periodMs)
}

export interface ProbeConclusion {
  readonly started: boolean
  readonly ready: boolean
  /** Which probe asks for the container's end; for `failedProbes` of `podActions`. */
  readonly kill: 'liveness' | 'startup' | undefined
}

/** What the probes of a running container (whose postStart hook is done) amount to. */
export function concludeProbes(states: ProbeStates): ProbeConclusion {
  const started = hasStarted(states)
  const ready = started && (states.readiness === undefined || states.readiness.verdict === 'success')
  const kill =
    states.startup?.verdict === 'failure'
      ? 'startup'
      : states.liveness?.verdict === 'failure'
        ? 'liveness'
        : undefined
  return { started, ready, kill }
}

function hasStarted({ startup }: ProbeStates): boolean {
  return startup === undefined || startup.verdict === 'success'
}

/**
 * The states of a container that an earlier life of this process had found started or ready: kubelet does not take
 * readiness back because it was itself restarted, and neither do we.
 */
export function adoptedProbeStates(
  container: Container,
  known: { readonly started: boolean; readonly ready: boolean },
): ProbeStates {
  const fresh = initialProbeStates(container)
  return {
    ...fresh,
    ...(fresh.startup &&
      known.started && { startup: { ...fresh.startup, verdict: 'success', settled: true } }),
    ...(fresh.readiness && known.ready && { readiness: { ...fresh.readiness, verdict: 'success' } }),
  }
}
