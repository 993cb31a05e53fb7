import { capabilitiesIn, podSandbox } from '../../lifecycle/pod-sandbox.ts'
import type { Capabilities, SandboxKind } from '../../model/capability.ts'
import type { Pod } from '../../model/kubernetes.ts'
import type { PodSources } from '../backend.ts'

export interface SandboxTerms {
  /** What the Pod may use in the sandbox that it would get. */
  readonly capabilities: Capabilities
  /** Undefined while nobody can say. */
  readonly kind: SandboxKind | undefined
}

/** What the sandbox that a Pod would get now means for it; of a class that is not there yet nothing is known. */
export async function sandboxTerms(
  {
    pod,
    sources,
    capabilities,
  }: { readonly pod: Pod; readonly sources: PodSources; readonly capabilities: Capabilities },
  signal: AbortSignal,
): Promise<SandboxTerms> {
  const className = pod.spec?.runtimeClassName
  const runtimeClass = className ? await sources.runtimeClass(className, signal) : undefined
  if (className && !runtimeClass) return { capabilities, kind: undefined }
  const sandbox = podSandbox({ choice: sources.node.sandbox, runtimeClass, capabilities })
  if (!sandbox.ok) return { capabilities, kind: undefined }
  return { capabilities: capabilitiesIn(sandbox.handler, capabilities), kind: sandbox.handler.kind }
}
