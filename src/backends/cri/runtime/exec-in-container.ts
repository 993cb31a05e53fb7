import type { CriClient } from './client.ts'
import { isTimeout } from './errors.ts'

/** Runs a command in the container. Rejects when it could not be run at all. */
export type ExecInContainer = (
  request: {
    readonly command: readonly string[]
    /** Infinity: as long as it takes. */
    readonly timeoutMs: number
  },
  signal: AbortSignal,
) => Promise<ExecResult>

export interface ExecResult {
  readonly exitCode: number
  /** Standard output and error together. */
  readonly output: string
  /** It did not end within the timeout; the exit code then means nothing. */
  readonly timedOut?: boolean
}

export function execInContainer(client: CriClient, containerId: string): ExecInContainer {
  return async ({ command, timeoutMs }, signal) => {
    const timeoutSeconds = timeoutMs === Infinity ? 0 : Math.ceil(timeoutMs / 1000)
    try {
      const options = { command, timeoutSeconds }
      const { exitCode, stdout, stderr } = await client.execSync(containerId, options, signal)
      return { exitCode, output: Buffer.concat([stdout, stderr]).toString() }
    } catch (error) {
      if (!isTimeout(error)) throw error
      return { exitCode: -1, output: '', timedOut: true }
    }
  }
}
