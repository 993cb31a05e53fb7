import type { SandboxKind } from '../../../model/capability.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import { sandboxOverheads, type SandboxOverhead } from '../../../model/sandbox-overhead.ts'

/** A Pod as it is made, and how much more it has than it asked for. */
export interface RoomyPod {
  readonly pod: Pod
  readonly room?: SandboxOverhead
}

/**
 * The Pod with the overhead of its sandbox. One that names a RuntimeClass has it from the API server; one that got gVisor
 * from its pool has not, and its limits were written for the containers alone: in a Pod of 16 MiB there would be no
 * room for the kernel that the sandbox brings. Nobody is billed for what is added here, and no status tells of it.
 */
export function withSandboxRoom(pod: Pod, kind: SandboxKind | undefined): RoomyPod {
  const room = kind && sandboxOverheads[kind]
  if (!room || !pod.spec || pod.spec.overhead) return { pod }
  return { pod: { ...pod, spec: { ...pod.spec, overhead: { ...room } } }, room }
}
