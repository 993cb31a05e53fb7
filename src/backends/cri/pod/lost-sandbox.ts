import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import { handlerOfSandbox } from '../sandbox-handlers.ts'
import type { PodHandle } from './pod-context.ts'

// runsc's words where the one process that is the sandbox has ended; containerd hears of it by an event of its own.
const gone = /cannot load sandbox|connecting to control server/

const patienceMs = 1_000
const lookAgainMs = 50

/**
 * Whether a start failed because its sandbox has ended. A sandbox that ends says so in many ways to who is just talking to
 * it; of a restart, which often follows an end of both, the runtime's own word is waited for.
 */
export async function isForLostSandbox(
  { tools, picture }: PodHandle,
  { error, attempt }: { readonly error: unknown; readonly attempt: number },
  signal: AbortSignal,
): Promise<boolean> {
  const sandbox = picture.current
  if (!sandbox) return true
  if (gone.test(errorMessage(error))) return true
  if (attempt === 0 || handlerOfSandbox(sandbox, tools.runtime.facts)?.kind !== 'gvisor') return false
  const untilMs = tools.clock.monotonicMs() + patienceMs
  for (;;) {
    await picture.lookAtSandbox(sandbox.id, signal)
    if (picture.current?.state !== 'SANDBOX_READY') return true
    if (tools.clock.monotonicMs() >= untilMs) return false
    await tools.clock.sleep(lookAgainMs, signal)
  }
}

interface LostStart {
  readonly error: unknown
  /** Undefined: not even made. */
  readonly containerId?: string
  readonly sandboxId: string
}

/**
 * Under gVisor all containers end with their sandbox, and the end of one may be told before that of the sandbox: what is
 * made or started in between never begins. It is no attempt of the Pod's, so it goes, and so does what is left of the
 * sandbox: asked to stop it, the runtime looks, and says what it has. Answers what is to be thrown: to be tried again at once.
 */
export async function afterLostStart(
  { tools, picture }: PodHandle,
  { error, containerId, sandboxId }: LostStart,
  signal: AbortSignal,
): Promise<SpillwayError> {
  if (containerId !== undefined) {
    await tools.client.removeContainer(containerId, signal)
    picture.drop(containerId)
  }
  await tools.client.stopSandbox(sandboxId, signal)
  await picture.lookAtSandbox(sandboxId, signal)
  const reason = 'CreateContainerError'
  return new SpillwayError('Busy', 'the sandbox is lost', { afterMs: 1, reason, cause: error })
}
