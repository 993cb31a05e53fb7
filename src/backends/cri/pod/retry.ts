import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import type { PullFailure } from '../images/pull-failure.ts'

// Of a pull that has just failed.
const pullReasons: ReadonlySet<string | undefined> = new Set([
  'ErrImagePull',
  'RegistryUnavailable',
  'SignatureValidationFailed',
] satisfies PullFailure['reason'][])

const firstMs = 250
const longestMs = 10_000

/** After how long a Pod that failed to get further tries again: what the error says, else 0.25 s doubling to 10 s. */
export function retryDelayMs(error: unknown, failures: number): number {
  const afterMs = error instanceof SpillwayError ? error.afterMs : undefined
  // A failed pull is looked at again at once, so that the status turns to the back-off that it is now in.
  const known = error instanceof SpillwayError && pullReasons.has(error.reason) ? 1_000 : afterMs
  return known ?? Math.min(firstMs * 2 ** Math.min(failures - 1, 10), longestMs)
}

/** kubelet's word and sentence for what holds a Pod up. */
export interface Trouble {
  readonly reason: string
  readonly message: string
}

export function troubleOf(error: unknown): Trouble {
  const reason = error instanceof SpillwayError ? error.reason : undefined
  return { reason: reason ?? 'FailedSync', message: errorMessage(error) }
}
