import type { Clock } from '../model/clock.ts'

/** What a command gets from the world around it. */
export interface CliContext {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal
}

export interface OutputStream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** ok, failed, usage, a checked claim is false, interrupted. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, claimFalse: 3, interrupted: 130 } as const
