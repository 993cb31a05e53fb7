import { expandVariables } from '../../../lifecycle/expand-variables.ts'
import { formatDelay } from '../../../lifecycle/restart-backoff.ts'
import { errorMessage } from '../../../model/errors.ts'
import type { Container } from '../../../model/kubernetes.ts'
import type { ExecInContainer } from '../runtime/exec-in-container.ts'
import { mostOutputBytes } from './http-get.ts'
import type { ProbeOutcome } from './probe-outcome.ts'

export interface ExecProbe {
  readonly command: readonly string[]
  readonly container: Container
  readonly timeoutMs: number
  readonly exec: ExecInContainer
}

/** Success: the command exits with 0. */
export async function execProbe(probe: ExecProbe, signal: AbortSignal): Promise<ProbeOutcome> {
  const { container, timeoutMs, exec } = probe
  // As kubelet: only variables with a plain value; what refers to other objects is not read again for each probe.
  const variables = new Map((container.env ?? []).map(({ name, value }) => [name, value ?? '']))
  const command = probe.command.map((part) => expandVariables(part, variables))
  try {
    const { exitCode, output, timedOut } = await exec({ command, timeoutMs }, signal)
    if (timedOut) {
      const words = JSON.stringify(command.join(' '))
      const told = `command timed out: ${words} timed out after ${formatDelay(timeoutMs)}`
      return { result: 'failure', output: told }
    }
    return exitCode === 0
      ? { result: 'success' }
      : { result: 'failure', output: Buffer.from(output).subarray(0, mostOutputBytes).toString() }
  } catch (error) {
    return { result: 'unknown', error: errorMessage(error) }
  }
}
