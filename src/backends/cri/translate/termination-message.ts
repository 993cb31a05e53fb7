import { open } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import type { Clock } from '../../../model/clock.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { ContainerStatus } from '../runtime/cri-types.ts'
import { readLog } from '../logs/read-log.ts'
import { fallsBackToLogs } from '../marks.ts'
import { logPath, terminationFile, type PodPaths } from '../paths.ts'

// pkg/kubelet/container: MaxContainerTerminationMessageLength and its counterparts for logs.
const mostBytes = 4096
const mostLogBytes = 2048
const mostLogLines = 80

export interface TerminationInput {
  readonly status: ContainerStatus
  readonly paths: PodPaths
  readonly clock: Clock
  readonly log: Log
}

/** What the container left to say: its message file, or the end of its log if it failed and asked for that. */
export async function terminationMessage(input: TerminationInput, signal: AbortSignal): Promise<string> {
  const { status, paths } = input
  const { name, attempt } = status.metadata
  const message = await endOf(terminationFile(paths.podDir, name, attempt))
  if (message !== '' || status.exitCode === 0 || !fallsBackToLogs(status.annotations)) return message
  const options = { follow: false, previous: false, timestamps: false, tailLines: mostLogLines }
  try {
    const path = join(paths.logDir, logPath(name, attempt))
    const isRunning = (): boolean => false
    const lines = await text(await readLog({ ...input, path, options, isRunning }, signal))
    return Buffer.from(lines).subarray(-mostLogBytes).toString()
  } catch (error) {
    signal.throwIfAborted()
    input.log.debug({ error, container: name }, 'no log for the termination message')
    return ''
  }
}

/** Of a file that is too long its last bytes: what a program says at last is why it ended. */
async function endOf(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r')
    const { size } = await file.stat()
    const position = Math.max(size - mostBytes, 0)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(mostBytes), 0, mostBytes, position)
    return buffer.subarray(0, bytesRead).toString()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
