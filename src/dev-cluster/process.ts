import { spawn } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'
import { outputTail } from './command.ts'
import { isDead, readProcess } from './process-table.ts'

/** A command line, not yet run. */
export interface Program {
  readonly file: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Names one process for good: a pid alone is given to another process sooner or later. JSON-safe. */
export interface ProcessRecord {
  readonly pid: number
  readonly startTicks: string
  /** Start ticks count from boot, so they mean nothing after the next one. */
  readonly bootId: string
}

export interface StartProcessOptions {
  /** Standard output and error are appended to it. */
  readonly logFile: string
  readonly workingDir: string
  /**
   * The kernel ends it when we end, however that happens: a test runner that is killed leaves nothing behind. Off for
   * what has to live on after the command that started it.
   */
  readonly diesWithUs: boolean
}

/** Starts a program in a session of its own, away from our terminal's signals. Rejects with Environment. */
export async function startProcess(program: Program, options: StartProcessOptions): Promise<ProcessRecord> {
  const log = await open(options.logFile, 'a', 0o600)
  try {
    // setpriv(1) arms the signal and then becomes the program itself: the pid stays.
    const [file, ...args] = options.diesWithUs
      ? ['setpriv', '--pdeathsig', 'KILL', '--', program.file, ...program.args]
      : [program.file, ...program.args]
    const child = spawn(file ?? program.file, args, {
      cwd: options.workingDir,
      env: { ...program.environment },
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    child.once('spawn', resolve)
    child.once('error', (cause) => {
      reject(new SpillwayError('Environment', `${program.file} cannot be run: ${cause.message}`, { cause }))
    })
    await promise
    child.unref()
    return await recordOf(child.pid, program.file)
  } finally {
    await log.close()
  }
}

/** The record of a process that runs now. Rejects with Environment when it has ended already. */
export async function recordOf(pid: number | undefined, what: string): Promise<ProcessRecord> {
  const entry = pid === undefined ? undefined : await readProcess(pid)
  if (entry === undefined) {
    throw new SpillwayError('Environment', `${what} ended as soon as it was started: its log says why`)
  }
  return { pid: entry.pid, startTicks: entry.startTicks, bootId: await readBootId() }
}

/** Whether that very process still runs. */
export async function isRunning(record: ProcessRecord): Promise<boolean> {
  const entry = await readProcess(record.pid)
  if (entry === undefined || (await isDead(entry))) return false
  return entry.startTicks === record.startTicks && (await readBootId()) === record.bootId
}

/** Sends a signal to that very process, and to nothing that took its pid. False when it was gone. */
export async function signalProcess(record: ProcessRecord, name: NodeJS.Signals): Promise<boolean> {
  if (!(await isRunning(record))) return false
  try {
    process.kill(record.pid, name)
    return true
  } catch (error) {
    // It ended between the look and the signal.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

export interface StopProcessOptions {
  /** How long it may take to end by itself; 0 kills at once. */
  readonly graceMs: number
  readonly clock: Clock
}

const pollMs = 20
// A killed process may hang in the kernel for a disk's sake, but not for ever.
const longestDeathMs = 20_000

/** SIGTERM, then SIGKILL once the grace is over; resolves when it is gone. Harmless when it is gone already. */
export async function stopProcess(
  record: ProcessRecord,
  { graceMs, clock }: StopProcessOptions,
  signal: AbortSignal,
): Promise<void> {
  if (graceMs > 0) {
    await signalProcess(record, 'SIGTERM')
    if (await hasEnded(record, graceMs, clock, signal)) return
  }
  await signalProcess(record, 'SIGKILL')
  if (await hasEnded(record, longestDeathMs, clock, signal)) return
  throw new SpillwayError(
    'Environment',
    `process ${record.pid} does not end after SIGKILL: the kernel holds it, most often for a disk or a network file system`,
  )
}

async function hasEnded(
  record: ProcessRecord,
  withinMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + withinMs
  while (await isRunning(record)) {
    if (clock.monotonicMs() >= deadlineMs) return false
    await clock.sleep(pollMs, signal)
  }
  return true
}

/** The end of a log file, for an error message; empty when there is none. */
export async function logTail(logFile: string, lines = 5): Promise<string> {
  try {
    return outputTail(await readFile(logFile, 'utf8'), lines)
  } catch {
    // Only ever shown beside the error that matters.
    return ''
  }
}

async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}
