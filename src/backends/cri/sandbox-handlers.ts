import { sealedHandler } from '../../lifecycle/pod-sandbox.ts'
import { lacksOf } from '../../lifecycle/sandbox-lacks.ts'
import type { DefaultHandler, SandboxHandler } from '../../model/capability.ts'
import type { CriOptions } from './config.ts'
import type { RuntimeHandlerFacts } from './runtime/runtime-handlers.ts'
import type { SandboxStatus } from './runtime/cri-types.ts'
import type { RuntimeFacts } from './runtime/runtime-facts.ts'

/** All that the runtime has, by its own names. Which of them a RuntimeClass may name is for the options to say. */
export function sandboxHandlers(options: CriOptions, runtime: RuntimeFacts | undefined): SandboxHandler[] {
  const { runtimeHandler, runtimeHandlers = [] } = options
  const open = new Set([...runtimeHandlers, ...(runtimeHandler ? [runtimeHandler] : [])])
  return (runtime?.handlers ?? [])
    .filter(({ name }) => name !== '')
    .map((facts) => ({
      ...facts,
      // No Pod is less apart from others for it.
      forRuntimeClasses: open.has(facts.name) || facts.kind === 'gvisor',
      lacks: lacksOf(facts),
    }))
}

/** What pools get that choose nothing: what the backend's options say, else the one that is apart by itself, or none. */
export function defaultHandler(
  { name: backend, options }: { readonly name: string; readonly options: CriOptions },
  runtime: RuntimeFacts | undefined,
): DefaultHandler {
  if (!runtime) return { none: undefined }
  const handlers = sandboxHandlers(options, runtime)
  const { runtimeHandler } = options
  if (!runtimeHandler) return sealedHandler(handlers, `${runtime.version} of backend "${backend}"`)
  if (handlers.some(({ name }) => name === runtimeHandler)) return { name: runtimeHandler }
  const names = handlers.map(({ name }) => name).join(', ') || 'none'
  const field = `options.runtimeHandler of backend "${backend}"`
  return {
    none: `${field}: found "${runtimeHandler}", which ${runtime.version} does not have; allowed: ${names}`,
  }
}

/** That a sandbox was made by, whatever its pool says by now; undefined where the runtime does not tell. */
export function handlerOfSandbox(
  sandbox: Pick<SandboxStatus, 'runtimeHandler'> | undefined,
  runtime: RuntimeFacts | undefined,
): RuntimeHandlerFacts | undefined {
  return runtime?.handlers.find(({ name }) => name === sandbox?.runtimeHandler)
}
