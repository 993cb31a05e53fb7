import { errorMessage, hasCode } from '../../model/errors.ts'
import { getBinaries, type GetBinariesOptions } from '../binaries.ts'
import type { BinaryName } from '../components.ts'

export const gvisorBinaries = ['runsc', 'containerd-shim-runsc-v1'] as const satisfies readonly BinaryName[]

/** Found or built; empty where neither is possible: a cluster is worth having without, and says what it lacks. */
export async function getGvisor(
  options: GetBinariesOptions,
  signal: AbortSignal,
): Promise<ReadonlyMap<BinaryName, string>> {
  try {
    return await getBinaries(gvisorBinaries, options, signal)
  } catch (error) {
    if (signal.aborted || !hasCode(error, 'Environment')) throw error
    options.progress.note(
      `no gVisor here: ${errorMessage(error)}; virtual nodes start no Pods until their pool says sandboxHandler: runc (up --sandbox runc)`,
    )
    return new Map()
  }
}
