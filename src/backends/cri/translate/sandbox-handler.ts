import { podSandbox } from '../../../lifecycle/pod-sandbox.ts'
import type { SandboxHandler } from '../../../model/capability.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { Pod, RuntimeClass } from '../../../model/kubernetes.ts'
import type { PodSources } from '../../backend.ts'
import type { CriTools } from '../pod/pod-context.ts'
import { defaultHandler, sandboxHandlers } from '../sandbox-handlers.ts'

export interface SandboxWish {
  readonly tools: Pick<CriTools, 'settings' | 'runtime'>
  readonly pod: Pod
  readonly sources: Pick<PodSources, 'node' | 'runtimeClass'>
}

/**
 * The runtime's handler that makes the Pod's sandbox, by its RuntimeClass and what its pool says. Rejects as long as the
 * class is not there or the handler is not offered: the Pod waits, as with kubelet, since another class of that name may
 * come. There is no falling back to another: a Pod that is to have a sandbox of its own kind gets it or none.
 */
export async function sandboxHandler(wish: SandboxWish, signal: AbortSignal): Promise<SandboxHandler> {
  const { tools, sources } = wish
  const { settings, runtime } = tools
  const [runtimeClass, facts] = await Promise.all([
    runtimeClassOf(wish, signal),
    runtime.facts ?? runtime.ask(signal).then((answer) => answer.facts),
  ])
  const sandbox = podSandbox({
    choice: sources.node.sandbox,
    runtimeClass,
    capabilities: {
      sandboxHandlers: sandboxHandlers(settings.options, facts),
      defaultHandler: defaultHandler(settings, facts),
    },
  })
  if (sandbox.ok) return sandbox.handler
  const { whose, why } = sandbox
  const where = whose === 'pod' ? ` (options.runtimeHandlers of backend "${settings.name}")` : ''
  throw new SpillwayError(whose === 'nobody' ? 'Unavailable' : 'Rejected', `${why}${where}`)
}

async function runtimeClassOf(
  { pod, sources }: Pick<SandboxWish, 'pod' | 'sources'>,
  signal: AbortSignal,
): Promise<RuntimeClass | undefined> {
  const className = pod.spec?.runtimeClassName
  if (!className) return undefined
  const runtimeClass = await sources.runtimeClass(className, signal)
  // The API server's own sentence, as kubelet passes it on.
  if (!runtimeClass) throw new SpillwayError('NotFound', `runtimeclass.node.k8s.io "${className}" not found`)
  return runtimeClass
}
