/** What a path of the node API asks for. */
export type Route =
  | { readonly kind: 'healthz'; readonly check?: string }
  | { readonly kind: 'pods' | 'runningPods' | 'configz' | 'summary' }
  | { readonly kind: 'metrics'; readonly of: 'node' | 'resource' | 'cadvisor' | 'probes' | 'slis' }
  | { readonly kind: 'containerLogs'; readonly pod: PodPath; readonly container: string }
  | { readonly kind: 'exec' | 'attach'; readonly pod: PodPath; readonly container: string }
  | { readonly kind: 'run'; readonly pod: PodPath; readonly container: string }
  | { readonly kind: 'portForward'; readonly pod: PodPath }
  /** Kubelet has it, a virtual node does not: said in a sentence. */
  | { readonly kind: 'refused'; readonly status: 404 | 405; readonly sentence: string }

export interface PodPath {
  readonly namespace: string
  readonly name: string
  /** When the caller means only this one of the name. */
  readonly uid?: string
}

/** Kubelet's paths. Undefined for everything else. Pure. */
export function matchRoute(path: string): Route | undefined {
  const [first = '', ...rest] = path.split('/').slice(1).map(decodePart)
  switch (first) {
    case 'healthz': {
      const [check, ...more] = rest
      if (more.some((part) => part !== '')) return undefined
      return check ? { kind: 'healthz', check } : { kind: 'healthz' }
    }
    case 'pods':
      return isNothing(rest) ? { kind: 'pods' } : undefined
    case 'runningpods':
      return isNothing(rest) ? { kind: 'runningPods' } : undefined
    case 'configz':
      return isNothing(rest) ? { kind: 'configz' } : undefined
    case 'stats':
      return rest[0] === 'summary' && isNothing(rest.slice(1)) ? { kind: 'summary' } : undefined
    case 'metrics':
      return metricsRoute(rest)
    case 'containerLogs':
      return rest.length === 3 ? containerRoute('containerLogs', rest) : undefined
    case 'exec':
    case 'attach':
    case 'run':
      return containerRoute(first, rest)
    case 'portForward': {
      const [namespace, name, uid] = rest
      if (rest.length < 2 || rest.length > 3 || !namespace || !name) return undefined
      return { kind: 'portForward', pod: podPath(namespace, name, uid) }
    }
    default:
      return refusedRoute(path)
  }
}

const metrics: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['', { kind: 'metrics', of: 'node' }],
  ['resource', { kind: 'metrics', of: 'resource' }],
  ['cadvisor', { kind: 'metrics', of: 'cadvisor' }],
  ['probes', { kind: 'metrics', of: 'probes' }],
  ['slis', { kind: 'metrics', of: 'slis' }],
])

function metricsRoute([of = '', ...rest]: readonly string[]): Route | undefined {
  return isNothing(rest) ? metrics.get(of) : undefined
}

// The first four with kubelet's sentences for when it is told not to offer them.
const refusals: readonly (readonly [path: string, route: Route])[] = [
  ['/logs', disabled('logs endpoint is disabled.')],
  ['/debug/pprof', disabled('profiling endpoint is disabled.')],
  ['/debug/flags/v', disabled('flags endpoint is disabled.')],
  ['/checkpoint', absent('containers on a virtual node cannot be checkpointed')],
  ['/statusz', absent('a virtual node has no component whose status this could be: see /healthz')],
  ['/flagz', absent('a virtual node has no flags: see /configz')],
]

function refusedRoute(path: string): Route | undefined {
  return refusals.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`))?.[1]
}

function absent(sentence: string): Route {
  return { kind: 'refused', status: 404, sentence }
}

function disabled(sentence: string): Route {
  return { kind: 'refused', status: 405, sentence }
}

/** The methods that kubelet allows; undefined: any. Pure. */
export function allowedMethods({ kind }: Route): readonly string[] | undefined {
  switch (kind) {
    case 'pods':
    case 'runningPods':
    case 'containerLogs':
      return ['GET']
    case 'summary':
    case 'exec':
    case 'attach':
    case 'portForward':
      return ['GET', 'POST']
    case 'run':
      return ['POST']
    case 'healthz':
    case 'configz':
    case 'metrics':
    case 'refused':
      return undefined
  }
}

/** May last as long as its client wants. Pure. */
export function isStream({ kind }: Route): boolean {
  return kind === 'containerLogs' || kind === 'exec' || kind === 'attach' || kind === 'portForward'
}

function containerRoute(
  kind: 'containerLogs' | 'exec' | 'attach' | 'run',
  rest: readonly string[],
): Route | undefined {
  const [namespace, name] = rest
  const container = rest.at(-1)
  if (rest.length < 3 || rest.length > 4 || !namespace || !name || !container) return undefined
  return { kind, pod: podPath(namespace, name, rest.length === 4 ? rest[2] : undefined), container }
}

function podPath(namespace: string, name: string, uid: string | undefined): PodPath {
  return uid ? { namespace, name, uid } : { namespace, name }
}

/** What is left of a path: at most a slash at its end. */
function isNothing(rest: readonly string[]): boolean {
  return rest.every((part) => part === '')
}

/** Of a path that is parted at its slashes. Pure. */
export function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // A lone %: it names nothing that exists.
    return part
  }
}
