/** What a path of the node API asks for. */
export type Route =
  | { readonly kind: 'healthz' }
  | { readonly kind: 'pods' }
  | { readonly kind: 'runningPods' }
  | { readonly kind: 'containerLogs'; readonly pod: PodPath; readonly container: string }
  | { readonly kind: 'exec' | 'attach'; readonly pod: PodPath; readonly container: string }
  | { readonly kind: 'portForward'; readonly pod: PodPath }

export interface PodPath {
  readonly namespace: string
  readonly name: string
  /** When the caller means only this one of the name. */
  readonly uid?: string
}

/** Kubelet's paths. Undefined for everything else. Pure. */
export function matchRoute(path: string): Route | undefined {
  const [first = '', ...rest] = path.split('/').slice(1).map(decode)
  switch (first) {
    case 'healthz':
      return rest.every((part) => ['', 'ping', 'log', 'syncloop'].includes(part))
        ? { kind: 'healthz' }
        : undefined
    case 'pods':
      return rest.every((part) => part === '') ? { kind: 'pods' } : undefined
    case 'runningpods':
      return rest.every((part) => part === '') ? { kind: 'runningPods' } : undefined
    case 'containerLogs': {
      const [namespace, name, container] = rest
      if (rest.length !== 3 || !namespace || !name || !container) return undefined
      return { kind: 'containerLogs', pod: { namespace, name }, container }
    }
    case 'exec':
    case 'attach': {
      const [namespace, name] = rest
      const container = rest.at(-1)
      if (rest.length < 3 || rest.length > 4 || !namespace || !name || !container) return undefined
      return {
        kind: first,
        pod: podPath(namespace, name, rest.length === 4 ? rest[2] : undefined),
        container,
      }
    }
    case 'portForward': {
      const [namespace, name, uid] = rest
      if (rest.length < 2 || rest.length > 3 || !namespace || !name) return undefined
      return { kind: 'portForward', pod: podPath(namespace, name, uid) }
    }
    default:
      return undefined
  }
}

function podPath(namespace: string, name: string, uid: string | undefined): PodPath {
  return uid ? { namespace, name, uid } : { namespace, name }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // A lone %: it names nothing that exists.
    return part
  }
}
