import { SpillwayError } from '../../../model/errors.ts'
import { offeredHandlers } from '../capabilities.ts'
import type { PodStart } from '../pod/start-sandbox.ts'

/**
 * The runtime's handler that makes the Pod's sandbox, by its RuntimeClass. Rejects as long as the class is not there or
 * names a handler that is not offered: the Pod waits, as with kubelet, since another class of that name may come.
 */
export async function sandboxHandler(
  { tools, pod, sources }: Pick<PodStart, 'tools' | 'pod' | 'sources'>,
  signal: AbortSignal,
): Promise<string> {
  const { name: backend, options } = tools.settings
  const className = pod.spec?.runtimeClassName
  if (!className) return options.runtimeHandler ?? ''
  const runtimeClass = await sources.runtimeClass(className, signal)
  // The API server's own sentence, as kubelet passes it on.
  if (!runtimeClass) throw new SpillwayError('NotFound', `runtimeclass.node.k8s.io "${className}" not found`)
  const { handler } = runtimeClass
  const offered = offeredHandlers(options, tools.runtime.facts).map(({ name }) => name)
  if (offered.includes(handler)) return handler
  const others = offered.filter((name) => name !== '').join(', ') || 'none'
  const problem = `no runtime for "${handler}" is offered here, which RuntimeClass "${className}" names`
  const allowed = `offered are: ${others} (options.runtimeHandlers of backend "${backend}")`
  throw new SpillwayError('Rejected', `${problem}; ${allowed}`)
}
