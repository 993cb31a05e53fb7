/** `because` is a sentence for people: of events, and of `explain`. */
export type OverflowDecision =
  | { readonly kind: 'send'; readonly pool: string; readonly because: string }
  /** Looked at again on every change of the cluster, and after that time at the latest. */
  | Wait
  /** As things stand; a changed label, node or Service may change it. `notable`: worth an event on the Pod. */
  | {
      readonly kind: 'never'
      readonly because: string
      readonly notable: boolean
      readonly heldBy?: HeldBy
    }

export interface Wait {
  readonly kind: 'wait'
  readonly afterMs: number
  readonly because: string
  /** It waits for the scheduler alone, and may go there. */
  readonly pool?: string
  readonly heldBy?: HeldBy
}

/** The burst policy or the budget that keeps a Pod in. */
export interface HeldBy {
  /** UID of the policy, or id of the budget of a pool or a namespace. */
  readonly policy: string
  readonly why: 'mode' | 'quiet hours' | 'replicas' | 'budget'
  /** For an event on the Pod: says the same as `because` without what changes from look to look. */
  readonly told: string
}

/** One rule that was asked, in order; the first that does not pass decides. */
export interface RuleLine {
  readonly rule:
    | 'eligible'
    | 'policy'
    | 'quiet hours'
    | 'preemption'
    | 'waiting time'
    | 'servers'
    | 'local traffic'
    | 'replicas'
    | `pool ${string}`
  readonly passes: boolean
  /** What was seen, a sentence for people. */
  readonly evidence: string
}

export interface Judgement {
  readonly decision: OverflowDecision
  readonly rules: readonly RuleLine[]
}

/** What a rule says. With `stop` it decides, and nothing is asked after it. */
export type Answer = Omit<RuleLine, 'passes'> & { readonly stop?: OverflowDecision }

/** The condition is not rewritten on every attempt of the scheduler's, so the next look needs a timer of ours. */
export const lookAgainMs = 5_000

export function stopped(rule: RuleLine['rule'], stop: OverflowDecision): Answer {
  return { rule, stop, evidence: stop.because }
}

export function wait(afterMs: number, because: string): Wait {
  return { kind: 'wait', afterMs, because }
}

export function never(because: string): OverflowDecision {
  return { kind: 'never', because, notable: false }
}

export function notable(because: string): OverflowDecision {
  return { kind: 'never', because, notable: true }
}
