import { createTerminalProgress, type Progress } from '../dev-cluster/progress.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import type { CliContext } from './context.ts'

/** What the embedded cluster's functions ask for. */
export interface DevContext {
  readonly environment: CliContext['environment']
  readonly processUid: number
  readonly progress: Progress
  readonly clock: CliContext['clock']
  readonly random: () => number
  readonly log: Log
}

export function devContext({ clock, environment, random, stderr }: CliContext): DevContext {
  return {
    environment,
    processUid: process.getuid?.() ?? 0,
    progress: createTerminalProgress(stderr, clock),
    clock,
    random,
    log: createLog({ level: 'warn' }),
  }
}
