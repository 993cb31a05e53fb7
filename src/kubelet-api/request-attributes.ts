/** What a request asks to be allowed: any one of the subresources of the Node suffices. */
export interface RequestAttributes {
  readonly verb: string
  readonly subresources: readonly string[]
}

const verbs: ReadonlyMap<string, string> = new Map([
  ['POST', 'create'],
  ['GET', 'get'],
  ['PUT', 'update'],
  ['PATCH', 'patch'],
  ['DELETE', 'delete'],
])

// Finer than `proxy`, since 1.33 (KubeletFineGrainedAuthz); who has `proxy` may still do these.
const besidesProxy: readonly (readonly [string, string])[] = [
  ['/pods', 'pods'],
  ['/allocatedPods', 'pods'],
  ['/runningpods', 'pods'],
  ['/healthz', 'healthz'],
  ['/configz', 'configz'],
]

const insteadOfProxy: readonly (readonly [string, string])[] = [
  ['/stats', 'stats'],
  ['/metrics', 'metrics'],
  ['/logs', 'log'],
  ['/checkpoint', 'checkpoint'],
  ['/statusz', 'statusz'],
  ['/flagz', 'configz'],
]

// A WebSocket begins with a GET. Kubelet asks for `get` then, so that whoever may only read `nodes/proxy`, as monitoring
// often does, runs commands in every Pod of the node. Who comes for the API server may do both.
const neverReading: readonly string[] = ['/exec', '/attach', '/portForward', '/run']

/**
 * Kubelet's mapping (pkg/kubelet/server/auth.go), so that existing RBAC rules hold here too; but to run something is never
 * to read. Pure.
 */
export function requestAttributes(method: string, path: string): RequestAttributes {
  const fine = besidesProxy.find(([prefix]) => isBelow(path, prefix))?.[1]
  const other = insteadOfProxy.find(([prefix]) => isBelow(path, prefix))?.[1]
  const runs = neverReading.some((prefix) => isBelow(path, prefix))
  return {
    verb: (runs && method === 'GET' ? 'create' : verbs.get(method)) ?? '',
    subresources: [...(fine === undefined ? [] : [fine]), other ?? 'proxy'],
  }
}

function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`)
}
