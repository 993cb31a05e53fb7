import type { Spec } from '../model/spec.ts'
import type { BillingTerms, UsageEvent, UsageFact } from '../model/usage.ts'

/** What the ledger knows of one change of a Pod's size. */
export interface Resize {
  /** `metadata.generation` of the Pod that asked for it. */
  readonly generation: number
  /** The record before the call. */
  readonly askedMs: number
  readonly terms: BillingTerms
  /** `refused`, too, when a later one came before it was done. */
  readonly state: 'under way' | 'done' | 'refused'
  /** From when on it is billed, once it is done. */
  readonly fromMs: number | undefined
}

type EventOf<K extends UsageFact['kind']> = UsageEvent & { readonly fact: UsageFact & { readonly kind: K } }

/**
 * The resizes of a Pod, by generation. They are the Pod's, not a sandbox's: one that replaces another begins at the size
 * that its predecessor ended with.
 *
 * A size that nowhere shrinks is billed from the record before its call: from then on it was set aside. One that gives
 * something back is billed from the backend's word that it did, since that may take long (memory in use cannot be taken
 * away): asking for less does not make what is held cheaper. RESIZED proves that it was done, whatever else was said; of
 * one that was given up before, it also tells from when on.
 */
export function projectResizes(events: readonly UsageEvent[], begun: BillingTerms | undefined): Resize[] {
  const asked = firstByGeneration(ofKind(events, 'RESIZING'))
  const done = firstByGeneration(ofKind(events, 'RESIZED'))
  const refused = new Set(ofKind(events, 'VOIDED').map(({ fact }) => fact.generation))
  const resizes: Resize[] = []
  let last = { spec: begun?.spec, fromMs: -Infinity }
  for (const [generation, { atMs: askedMs, fact }] of [...asked].sort(([a], [b]) => a - b)) {
    const { terms } = fact
    const doneMs = done.get(generation)?.atMs
    if (doneMs === undefined) {
      const state = refused.has(generation) ? 'refused' : 'under way'
      resizes.push({ generation, askedMs, terms, state, fromMs: undefined })
      continue
    }
    // Refused or lost and done all the same: by a backend that began anew at that size, and not before.
    const isLate = refused.has(generation) || (last.spec && shrinks(last.spec, terms.spec))
    // A clock of ours that was ahead must not have asked for it after it was done.
    const countsMs = isLate ? doneMs : Math.min(askedMs, doneMs)
    const fromMs = Math.max(countsMs, last.fromMs)
    resizes.push({ generation, askedMs, terms, state: 'done', fromMs })
    last = { spec: terms.spec, fromMs }
  }
  return resizes
}

function shrinks(before: Spec, after: Spec): boolean {
  return after.cpuMillis < before.cpuMillis || after.memoryMiB < before.memoryMiB || after.gpus < before.gpus
}

/** Told twice, by two sandboxes' numbers, it is still one resize: the first record of it counts. */
function firstByGeneration<K extends 'RESIZING' | 'RESIZED'>(
  events: readonly EventOf<K>[],
): Map<number, EventOf<K>> {
  const first = new Map<number, EventOf<K>>()
  for (const event of events) {
    const known = first.get(event.fact.generation)
    if (!known || isEarlier(event, known)) first.set(event.fact.generation, event)
  }
  return first
}

function isEarlier(a: UsageEvent, b: UsageEvent): boolean {
  return a.atMs === b.atMs ? a.id < b.id : a.atMs < b.atMs
}

function ofKind<K extends UsageFact['kind']>(events: readonly UsageEvent[], kind: K): EventOf<K>[] {
  return events.filter((event): event is EventOf<K> => event.fact.kind === kind)
}
