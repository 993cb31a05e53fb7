import { usageEvent, type UsageEvent } from '../model/usage.ts'
import { ofKind, type PodHistory, type UsageInterval } from './projection.ts'

/**
 * When a sandbox was seen, and nothing more. The ledger keeps the last one of each sandbox in place, beside the log: two a
 * minute and Pod would be most of the log, and hardly one of them ever decides anything. One that does is written into
 * the log by then (docs/decisions/0006-heartbeats.md).
 */
export type Heartbeat = Omit<UsageEvent, 'id' | 'fact'>

export function isHeartbeat({ fact }: UsageEvent): boolean {
  return fact.kind === 'OBSERVED'
}

export function heartbeatOf({ id: _id, fact: _fact, ...heartbeat }: UsageEvent): Heartbeat {
  return heartbeat
}

/** As the log has it, under an id that its instant makes: two of one sandbox that differ never have the same. */
export function observedEvent(heartbeat: Heartbeat): UsageEvent {
  return usageEvent({ ...heartbeat, fact: { kind: 'OBSERVED', bucket: heartbeat.atMs } })
}

/** Names a sandbox. */
export function sandboxKey({ podUid, incarnation }: Pick<Heartbeat, 'podUid' | 'incarnation'>): string {
  return `${incarnation} ${podUid}`
}

/**
 * What has to be written into the log beside `told`, the events of one Pod: of each sandbox that the Pod's next one has
 * ended, and nothing else, when it was last seen is where it is billed to.
 */
export function decidingHeartbeats(
  told: readonly UsageEvent[],
  lastSeen: readonly Heartbeat[],
): UsageEvent[] {
  if (lastSeen.length === 0) return []
  const opened = new Map(ofKind(told, 'OPENED').map(({ incarnation, atMs }) => [incarnation, atMs]))
  const lastOpened = Math.max(...opened.keys())
  const closed = new Set(ofKind(told, 'CLOSED').map(({ incarnation }) => incarnation))
  const observed = ofKind(told, 'OBSERVED')
  const decides = ({ incarnation, atMs }: Heartbeat): boolean => {
    const startMs = opened.get(incarnation)
    if (startMs === undefined || incarnation === lastOpened || closed.has(incarnation)) return false
    const known = observed.filter((event) => event.incarnation === incarnation)
    return atMs > Math.max(startMs, ...known.map((event) => event.atMs))
  }
  return lastSeen.filter(decides).map(observedEvent)
}

/** One that runs, with what is kept of it beside the log. Of one that has ended nothing asks when it was last seen. */
export function asLastSeen(interval: UsageInterval, lastSeen: readonly Heartbeat[]): UsageInterval {
  if (interval.endMs !== undefined) return interval
  const { podUid, incarnation, observedUntilMs } = interval
  const own = lastSeen.find((seen) => seen.podUid === podUid && seen.incarnation === incarnation)
  return own && own.atMs > observedUntilMs ? { ...interval, observedUntilMs: own.atMs } : interval
}

/** What such events make of a history; undefined when they are not only heartbeats of what runs. */
export function seenAgain(history: PodHistory, events: readonly UsageEvent[]): PodHistory | undefined {
  const running = new Set(history.intervals.filter(({ endMs }) => endMs === undefined).map(sandboxKey))
  if (!events.every((event) => isHeartbeat(event) && running.has(sandboxKey(event)))) return undefined
  const intervals = history.intervals.map((interval) =>
    events.reduce((seen, event) => asLastSeen(seen, [event]), interval),
  )
  return { ...history, intervals }
}
