import type { HeldBy } from '../judgement.ts'
import type { BurstFacts } from './burst-picture.ts'

/** Live policies and money, for whoever judges Pods by them. */
export interface BurstSource {
  facts(): BurstFacts
  /** Calls back when an answer may have changed. */
  subscribe(listener: () => void): () => void
  /** All that policies keep in at this moment, one entry a Pod. */
  tellHeld(held: readonly HeldBy[]): void
}
