import type { PodResources } from '../model/pod-resources.ts'
import type { AllocationObservation, PodObservation } from '../model/pod-observation.ts'
import { formatSpec } from '../model/spec.ts'
import type { BillingTerms } from '../model/usage.ts'
import type { NewFact } from './observed-facts.ts'
import type { PodHistory } from './projection.ts'

export interface ResizeFactsInput {
  readonly history: PodHistory
  readonly observed: PodObservation
  readonly incarnation: number
  /** What a size is billed by. Undefined: the Pod is not known. */
  readonly termsOf: ((resources: PodResources) => BillingTerms) | undefined
}

/** What an observation adds to what the ledger has of a Pod's resizes; mostly nothing. Pure. */
export function resizeFacts(input: ResizeFactsInput): NewFact[] {
  const { allocation } = input.observed
  if (!allocation) return []
  return [...doneFacts(input, allocation), ...overtakenFacts(input, allocation)]
}

function doneFacts(
  { history, incarnation, termsOf }: ResizeFactsInput,
  { generation, resources, inEffectAtMs: atMs }: AllocationObservation,
): NewFact[] {
  if (atMs === undefined) return []
  const common = { incarnation, atMs, source: 'backend' } as const
  const done: NewFact = { ...common, fact: { kind: 'RESIZED', generation } }
  const known = history.resizes.find((resize) => resize.generation === generation)
  if (known) return known.state === 'done' ? [] : [done]
  if (history.intendedGeneration === undefined || generation <= history.intendedGeneration) return []
  // Nobody wrote down that it was asked for: the Pod changed between its INTENT and its start, or began anew.
  const terms = termsOf?.(resources)
  const billed = history.resizes.findLast(({ state }) => state === 'done')?.terms ?? history.terms
  if (!terms || !billed || formatSpec(terms.spec) === formatSpec(billed.spec)) return []
  return [{ ...common, fact: { kind: 'RESIZING', generation, terms } }, done]
}

/**
 * Resizes that will not be done any more. Should one be all the same, its RESIZED says so, and is billed from then: so what
 * is only on its way must not be given up. That another size is wanted proves nothing, for what is seen may be from before
 * the backend was given this one; that the backend has a later Pod does, since what was asked for before never comes after.
 */
function overtakenFacts(
  { history, observed, incarnation }: ResizeFactsInput,
  allocation: AllocationObservation,
): NewFact[] {
  return history.resizes
    .filter(({ state }) => state === 'under way')
    .flatMap(({ generation, askedMs: atMs }) => {
      const isCurrent = generation === allocation.generation
      if (isCurrent && allocation.inEffectAtMs !== undefined) return []
      const overtaken = generation < allocation.generation || (!isCurrent && generation < observed.generation)
      const ended = observed.phase === 'stopped'
      if (!overtaken && !ended) return []
      const reason = ended
        ? 'the Pod ended before it was done'
        : 'another size was asked for before it was done'
      return [
        { incarnation, atMs, source: 'spillway', fact: { kind: 'VOIDED', reason, generation } } as const,
      ]
    })
}
