import { SpillwayError } from '../../../model/errors.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import { chosenHandler } from '../../../model/sandbox-choice.ts'
import type { PodSources } from '../../backend.ts'
import { offeredHandlers } from '../capabilities.ts'
import type { CriTools } from '../pod/pod-context.ts'

export interface SandboxWish {
  readonly tools: Pick<CriTools, 'settings' | 'runtime'>
  readonly pod: Pod
  readonly sources: Pick<PodSources, 'node' | 'runtimeClass'>
}

/**
 * The runtime's handler that makes the Pod's sandbox, by its RuntimeClass and what its pool says. Rejects as long as the
 * class is not there or the handler is not offered: the Pod waits, as with kubelet, since another class of that name may
 * come. There is no falling back to the default: a Pod that is to have a sandbox of its own kind gets it or none.
 */
export async function sandboxHandler(
  { tools, pod, sources }: SandboxWish,
  signal: AbortSignal,
): Promise<string> {
  const { name: backend, options } = tools.settings
  const className = pod.spec?.runtimeClassName
  const { sandbox } = sources.node
  const runtimeClass = className ? await sources.runtimeClass(className, signal) : undefined
  // The API server's own sentence, as kubelet passes it on.
  if (className && !runtimeClass)
    throw new SpillwayError('NotFound', `runtimeclass.node.k8s.io "${className}" not found`)
  const handler = chosenHandler(sandbox, runtimeClass)
  if (handler === undefined) return options.runtimeHandler ?? ''
  const offered = offeredHandlers(options, tools.runtime.facts).map(({ name }) => name)
  if (offered.includes(handler)) return handler
  const others = offered.filter((name) => name !== '').join(', ') || 'none'
  const wanted =
    className && sandbox?.byClass[className] === undefined
      ? `RuntimeClass "${className}" names`
      : `the pool wants${className ? ` for RuntimeClass "${className}"` : ''}`
  const problem = `no runtime for "${handler}" is offered here, which ${wanted}`
  const allowed = `offered are: ${others} (options.runtimeHandlers of backend "${backend}")`
  throw new SpillwayError('Rejected', `${problem}; ${allowed}`)
}
