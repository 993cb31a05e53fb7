import { errorMessage } from '../../../model/errors.ts'
import type { PodHandle } from './pod-context.ts'

// runsc's words where the one process that is the sandbox has ended; containerd hears of it by an event of its own.
const gone = /cannot load sandbox|connecting to control server/

export function saysSandboxIsGone(error: unknown): boolean {
  return gone.test(errorMessage(error))
}

/**
 * Under gVisor all containers end with their sandbox, and the end of one may be told before that of the sandbox: what is
 * started in between never begins. It is no attempt of the Pod's, so it goes, and so does what is left of the sandbox:
 * asked to stop it, the runtime looks, and says what it has.
 */
export async function dropStartInLostSandbox(
  { tools, picture }: PodHandle,
  { containerId, sandboxId }: { readonly containerId: string; readonly sandboxId: string },
  signal: AbortSignal,
): Promise<void> {
  await tools.client.removeContainer(containerId, signal)
  picture.drop(containerId)
  await tools.client.stopSandbox(sandboxId, signal)
  await picture.lookAtSandbox(sandboxId, signal)
}
