import type { PodUid } from '../model/pod-key.ts'
import {
  confidences,
  type AdjustedThing,
  type BilledPod,
  type BillingTerms,
  type Confidence,
  type Correction,
  type UnknownPod,
  type UsageEvent,
  type UsageFact,
} from '../model/usage.ts'
import { projectResizes, type Resize } from './resizes.ts'

/** What all events about one Pod come to. */
export interface PodHistory {
  readonly podUid: PodUid
  /** Undefined while only a sandbox is known: it is opened retroactively, and priced once the INTENT is there. */
  readonly pod: BilledPod | undefined
  readonly terms: BillingTerms | undefined
  readonly intended: boolean
  /** `metadata.generation` of the Pod that `terms` were made for. */
  readonly intendedGeneration: number | undefined
  readonly voided: boolean
  /** By generation. */
  readonly resizes: readonly Resize[]
  /** By incarnation, ascending; never overlapping. */
  readonly intervals: readonly UsageInterval[]
  readonly adjustments: readonly Adjustment[]
  /** When whose end was asked for; also of sandboxes that nobody has written down yet. */
  readonly stoppings: readonly { readonly incarnation: number; readonly atMs: number }[]
  /** Events that change nothing, and why. Kept in the log like the others. */
  readonly ignored: readonly IgnoredEvent[]
}

/** One sandbox's time, half-open. */
export interface UsageInterval {
  readonly clusterUid: string
  readonly podUid: PodUid
  readonly incarnation: number
  readonly sandboxId: string
  /** The backend's own number of it; left out where that is `incarnation`. */
  readonly attempt?: number
  readonly startMs: number
  /** Undefined while it runs. */
  readonly endMs: number | undefined
  readonly confidence: Confidence | undefined
  readonly closeReason: string | undefined
  /** The last instant at which it was known to be there. */
  readonly observedUntilMs: number
  /** When its end was asked for. */
  readonly stoppingMs: number | undefined
  /** The sizes over time, the first from `startMs` on. Empty while the size is not known. */
  readonly segments: readonly UsageSegment[]
  readonly pod: BilledPod | undefined
  /** From the backend, for a Pod whose INTENT is missing. */
  readonly unknownPod: UnknownPod
  /**
   * The whole hours that are billed by this account of the sandbox. Left out: all. What became known after a period was
   * sealed makes a second account; the first goes on standing in the sealed period (billing/accounts.ts).
   */
  readonly billed?: { readonly fromMs?: number; readonly toMs?: number }
}

export interface UsageSegment {
  readonly fromMs: number
  readonly terms: BillingTerms
}

export interface Adjustment {
  /** Of its event. */
  readonly id: string
  readonly podUid: PodUid
  readonly incarnation: number
  /** When it counts. One that came for a period that was sealed by then counts from that period's end. */
  readonly atMs: number
  readonly amount: string
  readonly currency: string
  readonly reason: string
  readonly reference: string
  readonly author?: string
  readonly about?: AdjustedThing
  readonly corrects?: Correction
}

export interface IgnoredEvent {
  readonly id: string
  readonly kind: UsageFact['kind']
  readonly why: string
}

export type EventOf<K extends UsageFact['kind']> = UsageEvent & {
  readonly fact: UsageFact & { readonly kind: K }
}

/**
 * Events of one Pod → its history. Pure; the order and the number of deliveries do not matter, because nothing here
 * looks at order: each fact is found by what it says.
 */
export function projectPod(podUid: PodUid, delivered: readonly UsageEvent[]): PodHistory {
  const events = distinct(delivered.filter((event) => event.podUid === podUid))
  const ignored: IgnoredEvent[] = []
  const intent = ofKind(events, 'INTENT')[0]
  const resizes = projectResizes(events, intent?.fact.terms)
  const opened = ofKind(events, 'OPENED').sort((a, b) => a.incarnation - b.incarnation)
  const open = new Set(opened.map(({ incarnation }) => incarnation))
  const intervals = opened.map((event, index) =>
    projectInterval({
      opened: event,
      intent,
      resizes,
      own: events.filter(({ incarnation }) => incarnation === event.incarnation),
      nextStartMs: opened[index + 1]?.atMs,
      ignored,
    }),
  )
  for (const event of events) {
    if (open.has(event.incarnation) || isOfPod(event)) continue
    ignored.push({ id: event.id, kind: event.fact.kind, why: 'that sandbox was never opened' })
  }
  const voids = events.filter(isVoid)
  if (opened.length > 0) {
    for (const { id } of voids) ignored.push({ id, kind: 'VOIDED', why: 'a sandbox was opened after all' })
  }
  ignored.push(...idleResizes(events, resizes, intervals))
  return {
    podUid,
    pod: intent?.fact.pod,
    terms: intent?.fact.terms,
    intended: intent !== undefined,
    intendedGeneration: intent?.fact.generation,
    voided: opened.length === 0 && voids.length > 0,
    resizes,
    intervals,
    adjustments: ofKind(events, 'ADJUSTED').map(adjustmentOf).sort(byTime),
    stoppings: ofKind(events, 'STOPPING').map(({ incarnation, atMs }) => ({ incarnation, atMs })),
    ignored: ignored.sort((a, b) => compareText(a.id, b.id)),
  }
}

interface IntervalInput {
  readonly opened: EventOf<'OPENED'>
  readonly intent: EventOf<'INTENT'> | undefined
  readonly resizes: readonly Resize[]
  readonly own: readonly UsageEvent[]
  readonly nextStartMs: number | undefined
  readonly ignored: IgnoredEvent[]
}

function projectInterval(input: IntervalInput): UsageInterval {
  const { opened, intent, resizes, own, nextStartMs, ignored } = input
  const startMs = opened.atMs
  const observedUntilMs = Math.max(startMs, ...ofKind(own, 'OBSERVED').map(({ atMs }) => atMs))
  const closed = chooseClosed(ofKind(own, 'CLOSED'), ignored)
  // A next sandbox of the same Pod proves that this one is gone, also when nobody wrote its end down.
  const end: End | undefined =
    closed ??
    (nextStartMs === undefined
      ? undefined
      : { atMs: observedUntilMs, confidence: 'estimated', reason: 'replaced by the next sandbox' })
  const endMs = end && clamp(end.atMs, startMs, Math.max(startMs, nextStartMs ?? Infinity))
  return {
    clusterUid: opened.clusterUid,
    podUid: opened.podUid,
    incarnation: opened.incarnation,
    sandboxId: opened.fact.sandboxId,
    ...(opened.fact.attempt !== undefined && { attempt: opened.fact.attempt }),
    startMs,
    endMs,
    confidence: end?.confidence,
    closeReason: end?.reason,
    observedUntilMs: endMs === undefined ? observedUntilMs : Math.min(observedUntilMs, endMs),
    stoppingMs: ofKind(own, 'STOPPING')[0]?.atMs,
    segments: intent ? projectSegments(intent.fact.terms, resizes, { startMs, endMs }) : [],
    pod: intent?.fact.pod,
    unknownPod: opened.fact.pod,
  }
}

interface End {
  readonly atMs: number
  readonly confidence: Confidence
  readonly reason: string
}

/** The best known end counts; a later, poorer one changes nothing. */
function chooseClosed(closed: readonly EventOf<'CLOSED'>[], ignored: IgnoredEvent[]): End | undefined {
  const [best, ...others] = [...closed].sort(
    (a, b) => confidences.indexOf(b.fact.confidence) - confidences.indexOf(a.fact.confidence),
  )
  for (const { id } of others) ignored.push({ id, kind: 'CLOSED', why: 'the end is better known' })
  return best && { atMs: best.atMs, confidence: best.fact.confidence, reason: best.fact.reason }
}

/** The sizes within one sandbox's time: the one that the Pod had when it began, and those that came. */
function projectSegments(
  begun: BillingTerms,
  resizes: readonly Resize[],
  { startMs, endMs = Infinity }: { readonly startMs: number; readonly endMs: number | undefined },
): UsageSegment[] {
  const done = resizes.flatMap(({ fromMs, terms }) => (fromMs === undefined ? [] : { fromMs, terms }))
  const first = done.findLast(({ fromMs }) => fromMs <= startMs)
  const later = done.filter(({ fromMs }) => startMs < fromMs && fromMs < endMs)
  return [{ fromMs: startMs, terms: first?.terms ?? begun }, ...later]
}

/** The records of resizes that change no bill, and why. */
function idleResizes(
  events: readonly UsageEvent[],
  resizes: readonly Resize[],
  intervals: readonly UsageInterval[],
): IgnoredEvent[] {
  const known = new Map(resizes.map((resize) => [resize.generation, resize]))
  const lastMs = Math.max(-Infinity, ...intervals.map(({ endMs = Infinity }) => endMs))
  const why = (generation: number): string | undefined => {
    const resize = known.get(generation)
    if (!resize) return 'no resize of that generation began'
    if (resize.state === 'refused') return 'the resize was refused'
    if (resize.fromMs === undefined) return 'the resize is not done yet'
    return resize.fromMs >= lastMs ? 'after the end' : undefined
  }
  return [...ofKind(events, 'RESIZING'), ...ofKind(events, 'RESIZED')].flatMap(({ id, fact }) => {
    const reason = why(fact.generation)
    return reason === undefined ? [] : [{ id, kind: fact.kind, why: reason }]
  })
}

/** Each id once. Two events of one id that differ are a fault of the writer: which counts must not hang on the order. */
function distinct(events: readonly UsageEvent[]): UsageEvent[] {
  const byId = new Map<string, UsageEvent>()
  for (const event of events) {
    const known = byId.get(event.id)
    if (!known || compareText(fingerprint(event), fingerprint(known)) < 0) byId.set(event.id, event)
  }
  return [...byId.values()].sort((a, b) => compareText(a.id, b.id))
}

function fingerprint(event: UsageEvent): string {
  return JSON.stringify(event, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))
}

export function ofKind<K extends UsageFact['kind']>(events: readonly UsageEvent[], kind: K): EventOf<K>[] {
  return events.filter((event): event is EventOf<K> => event.fact.kind === kind)
}

/** About the Pod, whichever sandbox it has. */
function isOfPod(event: UsageEvent): boolean {
  return ['INTENT', 'ADJUSTED', 'RESIZING', 'RESIZED', 'VOIDED'].includes(event.fact.kind)
}

/** Of the Pod as a whole, not of one resize. */
function isVoid({ fact }: UsageEvent): boolean {
  return fact.kind === 'VOIDED' && fact.generation === undefined
}

export function adjustmentOf({ id, podUid, incarnation, atMs, fact }: EventOf<'ADJUSTED'>): Adjustment {
  const { kind: _kind, ...stated } = fact
  return { id, podUid, incarnation, atMs, ...stated }
}

function byTime(a: Adjustment, b: Adjustment): number {
  return a.atMs - b.atMs || compareText(a.id, b.id)
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}

function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
