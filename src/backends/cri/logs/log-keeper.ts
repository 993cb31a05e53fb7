import { join } from 'node:path'
import { errorMessage } from '../../../model/errors.ts'
import { defaultRotation, rotateLog } from './rotate-log.ts'
import { logPath } from '../paths.ts'
import type { CriTools, PodHandle } from '../pod/pod-context.ts'

// kubelet's containerLogMonitorInterval is ten seconds, in which a container writes half a GiB. Rotated files have the second in
// their names, so no less than that.
const checkEveryMs = 2_000

/** Keeps the logs of running containers within their size until the signal is aborted. */
export async function keepLogs(
  tools: CriTools,
  pods: () => readonly Pick<PodHandle, 'picture' | 'paths'>[],
  signal: AbortSignal,
): Promise<void> {
  const { logMaxBytes = defaultRotation.maxBytes, logMaxFiles = defaultRotation.maxFiles } =
    tools.settings.options
  const policy = { maxBytes: logMaxBytes, maxFiles: logMaxFiles }
  while (!signal.aborted) {
    try {
      await tools.clock.sleep(checkEveryMs, signal)
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    for (const { picture, paths } of pods()) {
      for (const { status } of picture.running) {
        const path = join(paths.logDir, logPath(status.metadata.name, status.metadata.attempt))
        const reopen = (inner: AbortSignal): Promise<void> => tools.client.reopenLog(status.id, inner)
        try {
          await rotateLog({ path, policy, clock: tools.clock, reopen }, signal)
        } catch (error) {
          if (signal.aborted) return
          tools.log.warn({ path, error: errorMessage(error) }, 'a container log could not be rotated')
        }
      }
    }
  }
}
