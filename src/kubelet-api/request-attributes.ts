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

/** Kubelet's mapping (pkg/kubelet/server/auth.go), so that existing RBAC rules hold here too. Pure. */
export function requestAttributes(method: string, path: string): RequestAttributes {
  const fine = besidesProxy.find(([prefix]) => isBelow(path, prefix))?.[1]
  const other = insteadOfProxy.find(([prefix]) => isBelow(path, prefix))?.[1]
  return {
    verb: verbs.get(method) ?? '',
    subresources: [...(fine === undefined ? [] : [fine]), other ?? 'proxy'],
  }
}

function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`)
}
