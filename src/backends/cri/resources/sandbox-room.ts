import type { SandboxKind } from '../../../model/capability.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import { sandboxOverheads } from '../../../model/sandbox-overhead.ts'

/**
 * The Pod with the overhead of its sandbox. One that names a RuntimeClass has it from the API server; one that got gVisor
 * from its pool has not, and its limits were written for the containers alone: in a Pod of 16 MiB there would be no
 * room for the kernel that the sandbox brings. Nobody is billed for what is added here.
 */
export function withSandboxRoom(pod: Pod, kind: SandboxKind | undefined): Pod {
  const overhead = kind && sandboxOverheads[kind]
  if (!overhead || !pod.spec || pod.spec.overhead) return pod
  return { ...pod, spec: { ...pod.spec, overhead: { ...overhead } } }
}
