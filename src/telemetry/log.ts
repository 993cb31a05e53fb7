import { pino, stdTimeFunctions, type Logger } from 'pino'

export type Log = Logger

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** File descriptor or stream; default standard error, so that standard output stays for results. */
  readonly destination?: { write(line: string): void }
}

/** Structured log lines. Messages are constants; what varies goes into fields. */
export function createLog({ level, destination }: LogOptions): Log {
  const options = { level, base: {}, timestamp: stdTimeFunctions.isoTime }
  return pino(options, destination ?? pino.destination({ dest: 2, sync: true }))
}

/** For tests and for what has nothing to say. */
export function silentLog(): Log {
  return pino({ level: 'silent' })
}
