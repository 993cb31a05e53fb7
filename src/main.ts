import { runCli } from './cli/program.ts'
import { systemClock } from './model/clock.ts'

/** argv → exit code. The only file that touches the process's environment and randomness. */
export async function runMain(argv: readonly string[]): Promise<void> {
  const abort = new AbortController()
  const stop = (): void => {
    // A second Ctrl-C does not wait for the tidy end of the first.
    if (abort.signal.aborted) process.exit(130)
    abort.abort(new DOMException('interrupted', 'AbortError'))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  process.exitCode = await runCli(argv, {
    environment: process.env,
    clock: systemClock,
    random: Math.random,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: abort.signal,
  })
}
