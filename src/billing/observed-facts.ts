import {
  lastFinishedAtMs,
  type ContainerObservation,
  type PodObservation,
  type TerminatedState,
} from '../model/pod-observation.ts'
import { confidences, type UsageEvent } from '../model/usage.ts'
import type { PodHistory, UsageInterval } from './projection.ts'

/** A fact that is not in the ledger yet, without what is the same for the whole Pod. */
export type NewFact = Pick<UsageEvent, 'incarnation' | 'atMs' | 'source' | 'fact'>

export interface ObservedFactsInput {
  readonly history: PodHistory
  readonly observed: PodObservation
  readonly nowMs: number
  /** The most of a Pod's time that is lost when all evidence of it goes, if it is looked at twice in that time. */
  readonly heartbeatMs: number
  /** Our wall clock, which may be the backend's too, was set back since the Pod is known. */
  readonly clockSetBack: boolean
}

/**
 * For how long a Pod may be there without a container that runs: kubelet's restart back-off is five minutes at most. A
 * last container that ended longer than this before the Pod was last seen has ended by a clock that was set back.
 */
const longestPauseMs = 600_000

const replacedReason = 'the sandbox was replaced'

/** What an observation adds to what the ledger has of the Pod; mostly nothing. Pure. */
export function observedFacts(input: ObservedFactsInput): NewFact[] {
  const { history, observed } = input
  const incarnation = ledgerIncarnation(history, observed)
  const known = history.intervals.find((interval) => interval.incarnation === incarnation)
  const replaced = replacedFacts(history, observed, incarnation)
  if (!known && !observed.sandbox?.ready && !hasRun(observed)) return replaced
  return [
    ...replaced,
    ...openedFacts(input, incarnation, known),
    ...(observed.phase === 'stopped'
      ? closedFacts(input, incarnation, known)
      : heartbeat(input, incarnation, known)),
  ]
}

/**
 * Without it, a sandbox that is dead when it is seen first has held nothing for a time that anybody knows. containerd
 * brings such ones back from its disk when it starts anew: making them had been broken off, and they were cleared away
 * by half.
 */
function hasRun({ containers }: PodObservation): boolean {
  return containers.some(({ state, lastTerminated }) => state.kind !== 'waiting' || lastTerminated)
}

/** The last thing that the backend says to have happened. */
export function latestFactMs({ sandbox, allocation, containers }: PodObservation): number {
  const states = containers.flatMap(({ state, lastTerminated }) => [state, lastTerminated])
  const times = states.flatMap((state) => {
    if (state?.kind === 'running') return state.startedAtMs
    return state?.kind === 'terminated' ? Math.max(state.startedAtMs, state.finishedAtMs) : []
  })
  return Math.max(sandbox?.createdAtMs ?? 0, allocation?.inEffectAtMs ?? 0, ...times)
}

/**
 * The number under which the ledger keeps the observed sandbox. A backend that lost every trace of a Pod counts from 0
 * again: the sandbox's own id tells that it is another one, which then gets the next free number.
 */
export function ledgerIncarnation(history: PodHistory, observed: PodObservation): number {
  const { intervals } = history
  const { sandbox, incarnation } = observed
  if (!sandbox) return intervals.at(-1)?.incarnation ?? incarnation
  const same = intervals.find(({ sandboxId }) => sandboxId === sandbox.id)
  if (same) return same.incarnation
  const last = intervals.at(-1)?.incarnation ?? -1
  return Math.max(incarnation, last + 1)
}

/** A sandbox that is not the one seen now is gone. */
function replacedFacts(history: PodHistory, observed: PodObservation, incarnation: number): NewFact[] {
  const { sandbox } = observed
  if (!sandbox) return []
  return (
    history.intervals
      // Of those before it only: news of an old sandbox that come late end nothing.
      .filter(({ incarnation: before, startMs }) => before < incarnation && startMs < sandbox.createdAtMs)
      .filter((interval) => interval.endMs === undefined || isReplacedUnseen(interval))
      .flatMap((interval) => {
        const { atMs, confidence } = endOfReplaced(interval, observed, sandbox.createdAtMs)
        // Told once, and once more when it is known.
        if (isReplacedUnseen(interval) && confidence !== 'exact') return []
        const fact = { kind: 'CLOSED', confidence, reason: replacedReason } as const
        return [{ incarnation: interval.incarnation, atMs, source: 'backend' as const, fact }]
      })
  )
}

/** The ends of its containers were not told yet: containerd tells them a second late when their shim has died. */
function isReplacedUnseen({ confidence, closeReason }: UsageInterval): boolean {
  return confidence === 'estimated' && closeReason === replacedReason
}

function endOfReplaced(
  interval: UsageInterval,
  observed: PodObservation,
  nextStartMs: number,
): { readonly atMs: number; readonly confidence: 'exact' | 'estimated' } {
  const ends = observed.containers.map((container) =>
    endWithin(container, interval, { nextStartMs, attempt: observed.incarnation }),
  )
  const known = ends.flatMap(({ atMs }) => atMs ?? [])
  // One container whose end is not told could have been the last to end.
  const complete = known.length > 0 && ends.every(({ isWhole }) => isWhole)
  return complete
    ? { atMs: Math.max(...known), confidence: 'exact' }
    : { atMs: Math.max(interval.observedUntilMs, ...known), confidence: 'estimated' }
}

/** When the container ended in the sandbox that is gone, and whether that is all that can be asked of it. */
function endWithin(
  { state, lastTerminated }: ContainerObservation,
  { startMs, observedUntilMs, attempt: own, incarnation }: UsageInterval,
  next: { readonly nextStartMs: number; readonly attempt: number },
): { readonly atMs: number | undefined; readonly isWhole: boolean } {
  const runs = [state, lastTerminated].filter((run): run is TerminatedState => run?.kind === 'terminated')
  const within = runs.filter(
    ({ finishedAtMs }) => startMs <= finishedAtMs && finishedAtMs <= next.nextStartMs,
  )
  // With one between them that nobody has seen, only what began while this one was there is known to have been in it.
  const isNext = next.attempt - (own ?? incarnation) <= 1
  const sure = within.filter(({ startedAtMs }) => isNext || startedAtMs <= observedUntilMs)
  const atMs = sure.map(({ finishedAtMs }) => finishedAtMs).sort((a, b) => b - a)[0]
  const ran = state.kind !== 'waiting' || lastTerminated !== undefined
  return { atMs, isWhole: !ran || (atMs !== undefined && sure.length === within.length) }
}

function openedFacts(
  { observed, nowMs }: ObservedFactsInput,
  incarnation: number,
  known: UsageInterval | undefined,
): NewFact[] {
  const { sandbox, namespace, name, nodeName } = observed
  if (!sandbox || known) return []
  const pod = { namespace, name, node: nodeName }
  const { incarnation: attempt } = observed
  const numbered = attempt === incarnation ? {} : { attempt }
  const opened: NewFact = {
    incarnation,
    atMs: sandbox.createdAtMs,
    source: 'backend',
    fact: { kind: 'OPENED', sandboxId: sandbox.id, pod, ...numbered },
  }
  // What has ended by now was not there now: its heartbeat would outlive it.
  if (observed.phase === 'stopped') return [opened]
  if (sandbox.ready) return [opened, seen(incarnation, nowMs)]
  const lastMs = lastFinishedAtMs(observed) ?? 0
  return lastMs > sandbox.createdAtMs ? [opened, seen(incarnation, lastMs)] : [opened]
}

function heartbeat(
  { observed, nowMs, heartbeatMs }: ObservedFactsInput,
  incarnation: number,
  known: UsageInterval | undefined,
): NewFact[] {
  if (!known || known.endMs !== undefined || !observed.sandbox?.ready) return []
  // At half of it: whoever looks twice in that time loses no more than all of it.
  return nowMs - known.observedUntilMs >= heartbeatMs / 2 ? [seen(incarnation, nowMs)] : []
}

function seen(incarnation: number, nowMs: number): NewFact {
  const fact = { kind: 'OBSERVED', bucket: nowMs } as const
  return { incarnation, atMs: nowMs, source: 'spillway', fact }
}

function closedFacts(
  { history, observed, nowMs, clockSetBack }: ObservedFactsInput,
  incarnation: number,
  known: UsageInterval | undefined,
): NewFact[] {
  const startMs = known?.startMs ?? observed.sandbox?.createdAtMs
  if (startMs === undefined) return []
  const finishedMs = lastFinishedAtMs(observed)
  const asked = history.stoppings.find((stopping) => stopping.incarnation === incarnation)
  const seenMs = Math.max(startMs, known?.observedUntilMs ?? startMs)
  const isEarly = clockSetBack && finishedMs !== undefined && finishedMs < seenMs - longestPauseMs
  if (isEarly || (finishedMs !== undefined && finishedMs < seenMs && wentBack(observed, incarnation))) {
    if (isKnownAs(known, 'estimated')) return []
    const reason = "the backend's clock was set back while it ran; last seen then"
    const fact = { kind: 'CLOSED', confidence: 'estimated', reason } as const
    return [{ incarnation, atMs: Math.max(seenMs, asked?.atMs ?? seenMs), source: 'spillway', fact }]
  }
  // An end before this sandbox's start belongs to an earlier one: in this one no container ran.
  if (finishedMs !== undefined && finishedMs >= startMs) {
    if (isKnownAs(known, 'exact')) return []
    const fact = { kind: 'CLOSED', confidence: 'exact', reason: 'its last container ended' } as const
    return [{ incarnation, atMs: finishedMs, source: 'backend', fact }]
  }
  if (isKnownAs(known, 'recorded')) return []
  const closed = {
    kind: 'CLOSED',
    confidence: 'recorded',
    reason: 'stopped before any container ran',
  } as const
  if (asked) return [{ incarnation, atMs: asked.atMs, source: 'spillway', fact: closed }]
  // It was gone before: now, when it has been seen once more, is no better account of its end.
  if (known?.endMs !== undefined) return []
  const stopping = { kind: 'STOPPING', reason: 'the backend had ended it' } as const
  return [
    { incarnation, atMs: nowMs, source: 'spillway', fact: stopping },
    { incarnation, atMs: nowMs, source: 'spillway', fact: closed },
  ]
}

/** A container that ended before it started, or before the first sandbox was made, has ended by a clock set back. */
function wentBack({ sandbox, containers }: PodObservation, incarnation: number): boolean {
  const firstMs = incarnation === 0 ? (sandbox?.createdAtMs ?? 0) : -Infinity
  return containers
    .flatMap(({ state, lastTerminated }) => [state, lastTerminated])
    .some(
      (state) => state?.kind === 'terminated' && state.finishedAtMs < Math.max(state.startedAtMs, firstMs),
    )
}

function isKnownAs(known: UsageInterval | undefined, confidence: (typeof confidences)[number]): boolean {
  if (!known?.confidence) return false
  return confidences.indexOf(known.confidence) >= confidences.indexOf(confidence)
}
