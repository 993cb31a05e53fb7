import type { ErrorCode } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'

/** What the child is told. It has no time of its own: an instant is what a message says. */
export type ToChild =
  | {
      readonly kind: 'look'
      readonly nowMs: number
      /** As the API server has it. */
      readonly pod: Pod | undefined
      /** As the backend tells it. */
      readonly observed: PodObservation | undefined
    }
  | { readonly kind: 'answer'; readonly id: number; readonly value?: unknown; readonly error?: CrashError }

export interface CrashError {
  readonly code: ErrorCode
  readonly message: string
}

/** What the child says. */
export type ToParent =
  | { readonly kind: 'ready' }
  | { readonly kind: 'looked' }
  /** It is about to do this, or has just done it, and waits for leave. */
  | { readonly kind: 'point'; readonly id: number; readonly phase: 'before' | 'after'; readonly what: string }
  /** To be done outside of it: by the backend, or by the API server. */
  | { readonly kind: 'call'; readonly id: number; readonly what: OutsideCall; readonly args: unknown }

export type OutsideCall = 'start' | 'update' | 'stop' | 'forget' | 'patch' | 'delete' | 'get'
