import type { Clock } from '../model/clock.ts'
import { ConnectionGate, type ConnectionLimits } from './connection-gate.ts'
import { ReviewBudget, type ReviewLimits } from './review-budget.ts'

export interface StrangerLimits {
  readonly connections: ConnectionGate
  readonly reviews: ReviewBudget
}

/** What strangers may take of a process and of its API server, all of its virtual nodes together. */
export function createStrangerLimits({
  clock,
  connectionLimits,
  reviewLimits,
}: {
  readonly clock: Clock
  readonly connectionLimits?: ConnectionLimits
  readonly reviewLimits?: ReviewLimits
}): StrangerLimits {
  return {
    connections: new ConnectionGate({ clock, ...(connectionLimits && { limits: connectionLimits }) }),
    reviews: new ReviewBudget({ clock, ...(reviewLimits && { limits: reviewLimits }) }),
  }
}
