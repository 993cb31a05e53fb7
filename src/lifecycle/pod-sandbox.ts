import type { Capabilities, DefaultHandler, PodFeature, SandboxHandler } from '../model/capability.ts'
import type { RuntimeClass } from '../model/kubernetes.ts'
import type { SandboxChoice } from '../model/sandbox-choice.ts'

export interface SandboxQuestion {
  /** What the pool says; undefined: nothing. */
  readonly choice: SandboxChoice | undefined
  /** Of the Pod; undefined: it names none. */
  readonly runtimeClass: RuntimeClass | undefined
  /** The backend's. */
  readonly capabilities: Pick<Capabilities, 'sandboxHandlers' | 'defaultHandler'>
}

export type PodSandbox =
  | { readonly ok: true; readonly handler: SandboxHandler }
  /** `whose`: who can mend it. Nobody: the runtime has not answered yet. */
  | { readonly ok: false; readonly whose: 'pool' | 'pod' | 'nobody'; readonly why: string }

/**
 * By which handler a Pod's sandbox is made: its RuntimeClass's, by the pool's map or by the class itself; without a class
 * the pool's, and of a pool that chooses none the backend's default. Nothing falls back to anything weaker. Pure.
 */
export function podSandbox({ choice, runtimeClass, capabilities }: SandboxQuestion): PodSandbox {
  const className = runtimeClass?.metadata?.name ?? ''
  const ofPool = runtimeClass ? choice?.byClass[className] : choice?.byDefault
  if (ofPool !== undefined) return ofPoolsChoice(ofPool, { className, capabilities })
  if (runtimeClass) return ofClass(runtimeClass, capabilities)
  const { defaultHandler } = capabilities
  if ('name' in defaultHandler) return named(defaultHandler.name, capabilities)
  const { none } = defaultHandler
  return none === undefined ? unasked : { ok: false, whose: 'pool', why: none }
}

const unasked: PodSandbox = { ok: false, whose: 'nobody', why: 'the runtime has not answered yet' }

function ofPoolsChoice(
  name: string,
  {
    className,
    capabilities,
  }: { readonly className: string; readonly capabilities: SandboxQuestion['capabilities'] },
): PodSandbox {
  const found = named(name, capabilities)
  if (found.ok || found.whose === 'nobody') return found
  const field = className === '' ? 'sandboxHandler' : `runtimeClasses["${className}"]`
  const why = `the pool's ${field} "${name}" is not offered here; offered are: ${namesOf(capabilities.sandboxHandlers)}`
  return { ok: false, whose: 'pool', why }
}

function ofClass(
  { metadata, handler }: RuntimeClass,
  capabilities: SandboxQuestion['capabilities'],
): PodSandbox {
  const found = named(handler, capabilities)
  if (found.ok ? found.handler.forRuntimeClasses : found.whose === 'nobody') return found
  const open = capabilities.sandboxHandlers.filter(({ forRuntimeClasses }) => forRuntimeClasses)
  const what = `handler "${handler}" for RuntimeClass "${metadata?.name}" is not offered here`
  return { ok: false, whose: 'pod', why: `spec.runtimeClassName: ${what}; offered are: ${namesOf(open)}` }
}

function named(
  name: string,
  { sandboxHandlers, defaultHandler }: SandboxQuestion['capabilities'],
): PodSandbox {
  const handler = sandboxHandlers.find((one) => one.name === name)
  if (handler) return { ok: true, handler }
  const isUnasked = 'none' in defaultHandler && defaultHandler.none === undefined
  return isUnasked ? unasked : { ok: false, whose: 'pod', why: `handler "${name}" is not offered here` }
}

function namesOf(handlers: readonly SandboxHandler[]): string {
  return handlers.map(({ name }) => name).join(', ') || 'none'
}

/**
 * What pools get that choose nothing, where nobody has chosen for them: gVisor. Never runc by itself, since to share the
 * machine's kernel with others' Pods is for people to decide. `whose`: as in `containerd://2.4.2 of backend "local"`.
 */
export function sealedHandler(handlers: readonly SandboxHandler[], whose: string): DefaultHandler {
  const sealed = handlers.find(({ kind }) => kind === 'gvisor')
  if (sealed) return { name: sealed.name }
  const problem = `nothing says what sandboxes are made by, and ${whose} has no gVisor`
  const remedy = 'install it, or let the pool say with sandboxHandler which it is to be'
  return { none: `${problem}: ${remedy}; offered are: ${namesOf(handlers)}` }
}

/** What Pods may use in such a sandbox: what the backend offers, without what the handler lacks. Pure. */
export function capabilitiesIn(
  { lacks }: Pick<SandboxHandler, 'lacks'>,
  capabilities: Capabilities,
): Capabilities {
  if (lacks.size === 0) return capabilities
  const features = new Set([...capabilities.features].filter((feature) => !lacks.has(feature)))
  // What the backend does not offer at all has its own reason.
  return {
    ...capabilities,
    features,
    lacks: new Map<PodFeature, string>([...lacks, ...(capabilities.lacks ?? [])]),
  }
}

/** What the Pod may use where its sandbox would be made; all that the backend offers while that is not known. Pure. */
export function podCapabilities(
  capabilities: Capabilities,
  question: Omit<SandboxQuestion, 'capabilities'>,
): Capabilities {
  const sandbox = podSandbox({ ...question, capabilities })
  return sandbox.ok ? capabilitiesIn(sandbox.handler, capabilities) : capabilities
}
