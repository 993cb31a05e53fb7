import { spawn } from 'node:child_process'
import { SpillwayError } from '../model/errors.ts'

export interface CommandOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly workingDir?: string
  /** The person behind sudo, so that what the command writes belongs to them. */
  readonly runAs?: { readonly uid: number; readonly gid: number } | undefined
  readonly timeoutMs?: number
  /** Told output and errors as they come, in place of their being returned. */
  readonly onOutput?: (text: string) => void
  /** What it and its children get when we are told to stop. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals
}

export interface CommandResult {
  /** 128 + signal number when a signal ended it, as shells count. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

// Enough for every list that we read; what talks more than this is cut at the front, where it matters least.
const longestOutput = 1_000_000

/**
 * Runs a program to its end, without a shell. Rejects with `Environment` when it cannot be started, or with the
 * signal's reason; a failing exit code is an answer, not an error.
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions,
  signal: AbortSignal,
): Promise<CommandResult> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>()
  // A process group of its own: a compiler has children, and all of them have to go when we are told to stop.
  const child = spawn(file, args, {
    cwd: options.workingDir,
    env: { ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    timeout: options.timeoutMs,
    ...(options.runAs === undefined ? {} : { uid: options.runAs.uid, gid: options.runAs.gid }),
  })
  const kill = (): void => {
    if (child.pid !== undefined) killGroup(child.pid, options.stopSignal ?? 'SIGTERM')
  }
  signal.addEventListener('abort', kill, { once: true })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (options.onOutput !== undefined) return options.onOutput(text)
    stdout = (stdout + text).slice(-longestOutput)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (options.onOutput !== undefined) return options.onOutput(text)
    stderr = (stderr + text).slice(-longestOutput)
  })
  child.on('error', (cause) => {
    reject(new SpillwayError('Environment', `${file} cannot be run: ${cause.message}`, { cause }))
  })
  child.on('close', (code) => resolve({ exitCode: code ?? 128, stdout, stderr }))
  try {
    const result = await promise
    signal.throwIfAborted()
    return result
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

function killGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name)
  } catch (error) {
    // ESRCH: it ended by itself a moment ago.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The last lines of a program's output, for an error message. */
export function outputTail(text: string, lines = 6): string {
  return text.trim().split('\n').slice(-lines).join('\n')
}
