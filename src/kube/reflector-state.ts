import type { ErrorCode } from '../model/errors.ts'
import { assertNever } from '../model/assert.ts'

/** Where a reflector is. `failures` counts attempts in a row that brought nothing. */
export type ReflectorState =
  | { readonly kind: 'listing'; readonly failures: number }
  | {
      readonly kind: 'watching'
      readonly failures: number
      readonly resourceVersion: string
      /** Whether this watch has brought an event or a bookmark. */
      readonly heard: boolean
      /** Watches in a row that were ended for their silence. */
      readonly silent: number
    }
  | {
      readonly kind: 'waiting'
      readonly failures: number
      /** What the API server asked for; the back-off may be longer. */
      readonly atLeastMs: number
      readonly next: { readonly kind: 'list' } | { readonly kind: 'watch'; readonly resourceVersion: string }
    }

export type ReflectorInput =
  | { readonly kind: 'listed'; readonly resourceVersion: string }
  /** An event or a bookmark, which moves the version to go on from. */
  | { readonly kind: 'heard'; readonly resourceVersion: string }
  /** The watch ended without an error. */
  | { readonly kind: 'ended'; readonly lastedMs: number }
  /** The watch brought nothing for so long that it was given up. */
  | { readonly kind: 'stalled' }
  /** `code` undefined: an error from outside the table. */
  | { readonly kind: 'failed'; readonly code: ErrorCode | undefined; readonly afterMs: number }
  | { readonly kind: 'waited' }

export const initialState: ReflectorState = { kind: 'listing', failures: 0 }

// A watch that ends at once and brought nothing is a server going down or a proxy without the server behind it;
// client-go (tools/cache/reflector.go, VeryShortWatchError) draws the line at a second too.
const veryShortWatchMs = 1000

// A watch from a version that the server has not reached (etcd restored from a back-up) is silent for ever. Nobody
// tells, so silence is trusted for some ten minutes and then checked by a list.
const silentWatchesBeforeList = 6

// A version that cannot be watched for a reason other than 410 is given up after some tries.
const failuresBeforeList = 5

/** What a reflector does next. An input that cannot come in a state is a bug of the driver and throws. */
export function nextReflectorState(state: ReflectorState, input: ReflectorInput): ReflectorState {
  switch (state.kind) {
    case 'listing':
      return afterListing(state.failures, input)
    case 'watching':
      return afterWatching(state, input)
    case 'waiting': {
      if (input.kind !== 'waited') return impossible(state, input)
      const { failures, next } = state
      if (next.kind === 'list') return { kind: 'listing', failures }
      return watching(next.resourceVersion, failures, 0)
    }
    default:
      return assertNever(state, 'reflector state')
  }
}

function afterListing(failures: number, input: ReflectorInput): ReflectorState {
  if (input.kind === 'listed') return watching(input.resourceVersion, failures, 0)
  if (input.kind === 'failed') {
    return { kind: 'waiting', failures: failures + 1, atLeastMs: input.afterMs, next: { kind: 'list' } }
  }
  return impossible({ kind: 'listing', failures }, input)
}

type Watching = ReflectorState & { kind: 'watching' }

function afterWatching(state: Watching, input: ReflectorInput): ReflectorState {
  switch (input.kind) {
    case 'heard':
      return { ...state, resourceVersion: input.resourceVersion, failures: 0, silent: 0, heard: true }
    case 'ended':
      if (!state.heard && input.lastedMs < veryShortWatchMs) return retryWatch(state, 0)
      return watching(state.resourceVersion, 0, state.silent)
    case 'stalled':
      if (state.silent + 1 >= silentWatchesBeforeList) return { kind: 'listing', failures: state.failures }
      return watching(state.resourceVersion, state.failures, state.silent + 1)
    case 'failed':
      return afterFailedWatch(state, input)
    case 'listed':
    case 'waited':
      return impossible(state, input)
    default:
      return assertNever(input, 'reflector input')
  }
}

function afterFailedWatch(
  state: Watching,
  { code, afterMs }: ReflectorInput & { kind: 'failed' },
): ReflectorState {
  const failures = state.failures + 1
  if (code === 'Unavailable' || code === 'Busy') return retryWatch(state, afterMs)
  // At once the first time: it is no fault of the server's. The watch after it expiring too means trouble.
  if (code === 'Expired' && failures === 1) return { kind: 'listing', failures }
  // Expired again, Forbidden, NotFound (a CRD that went away), what is not understood: a list tells what is the matter.
  return { kind: 'waiting', failures, atLeastMs: afterMs, next: { kind: 'list' } }
}

function retryWatch(state: Watching, atLeastMs: number): ReflectorState {
  const failures = state.failures + 1
  const { resourceVersion } = state
  const next =
    failures > failuresBeforeList ? { kind: 'list' as const } : { kind: 'watch' as const, resourceVersion }
  return { kind: 'waiting', failures, atLeastMs, next }
}

function watching(resourceVersion: string, failures: number, silent: number): ReflectorState {
  return { kind: 'watching', resourceVersion, failures, silent, heard: false }
}

function impossible(state: ReflectorState, input: ReflectorInput): never {
  throw new Error(`a reflector that is ${state.kind} cannot have ${input.kind}`)
}
