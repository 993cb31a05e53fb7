import type { SandboxKind } from '../../../model/capability.ts'
import type { RuntimeHandler, RuntimeStatus } from './cri-types.ts'

/** A handler as the runtime has it. */
export interface RuntimeHandlerFacts {
  /** '' is the runtime's own default, which bears another name, too. */
  readonly name: string
  readonly kind: SandboxKind
  readonly recursiveReadOnlyMounts: boolean
  readonly userNamespaces: boolean
}

/** The part that is read of containerd's configuration, as its status tells it in JSON. All of it may be missing. */
interface ToldConfig {
  readonly containerd?: {
    readonly defaultRuntimeName?: string
    readonly runtimes?: Readonly<Record<string, ToldRuntime | null>> | null
  } | null
}

interface ToldRuntime {
  readonly runtimeType?: string
  readonly options?: { readonly BinaryName?: unknown } | null
}

/**
 * The handlers in the runtime's status, each with its kind as the details beside it say: a name alone says nothing, since
 * a handler called `gvisor` may be anything. containerd before 2.0 lists none, and has them in its configuration alone.
 */
export function runtimeHandlers({
  runtimeHandlers: listed,
  info,
}: Pick<RuntimeStatus, 'runtimeHandlers' | 'info'>): RuntimeHandlerFacts[] {
  const { defaultRuntimeName, runtimes } = toldConfig(info['config']).containerd ?? {}
  const kindOf = (name: string): SandboxKind => {
    const runtime = runtimes?.[name === '' ? (defaultRuntimeName ?? '') : name]
    return runtime ? kindOfRuntime(runtime) : 'unknown'
  }
  const named = runtimes ? ['', ...Object.keys(runtimes)] : []
  const silent = named.map((name): RuntimeHandler => ({ name, features: null }))
  return (listed.length > 0 ? listed : silent).map(({ name, features }) => ({
    name,
    kind: kindOf(name),
    recursiveReadOnlyMounts: features?.recursiveReadOnlyMounts ?? false,
    userNamespaces: features?.userNamespaces ?? false,
  }))
}

/** By the shim that containerd starts, `io.containerd.runsc.v1` or a path of it, and by what runc's shim is told to run. */
function kindOfRuntime({ runtimeType = '', options }: ToldRuntime): SandboxKind {
  const [, shim] = /(?:^io\.containerd\.|containerd-shim-)(runsc|kata|runc)\b/.exec(runtimeType) ?? []
  if (shim === 'runsc') return 'gvisor'
  if (shim === 'kata') return 'kata'
  if (shim !== 'runc') return 'unknown'
  // runc and crun alike; anything else behind runc's shim is not for us to vouch for.
  const binary = options?.BinaryName
  if (typeof binary !== 'string' || binary === '') return 'runc'
  return /(?:^|\/)(?:runc|crun|youki)[^/]*$/.test(binary) ? 'runc' : 'unknown'
}

function toldConfig(text: string | undefined): ToldConfig {
  try {
    const config: unknown = JSON.parse(text ?? '{}')
    return typeof config === 'object' && config !== null ? config : {}
  } catch {
    // Another runtime's, in words of its own.
    return {}
  }
}
