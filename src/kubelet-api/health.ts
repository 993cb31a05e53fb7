/** Undefined: well. Else what is wrong. */
export type HealthCheck = () => string | undefined

/** By name, as in `/healthz/syncloop`. */
export type HealthChecks = ReadonlyMap<string, HealthCheck>

export interface HealthAnswer {
  readonly status: number
  readonly body: string
}

/**
 * `/healthz` and `/healthz/<check>`, in the words of Kubernetes' components (apiserver pkg/server/healthz): why a check
 * failed is told only to who asks for that one. Undefined: there is no such check. Pure.
 */
export function healthAnswer(
  { check, query }: { readonly check?: string | undefined; readonly query: URLSearchParams },
  checks: HealthChecks,
): HealthAnswer | undefined {
  if (check === undefined) return allChecks(query, checks)
  const asked = checks.get(check)
  if (!asked) return undefined
  const problem = asked()
  return problem === undefined
    ? { status: 200, body: 'ok' }
    : { status: 500, body: `internal server error: ${problem}\n` }
}

function allChecks(query: URLSearchParams, checks: HealthChecks): HealthAnswer {
  const excluded = new Set(query.getAll('exclude'))
  let lines = ''
  let failed = false
  for (const [name, check] of checks) {
    if (excluded.delete(name)) lines += `[+]${name} excluded: ok\n`
    else if (check() === undefined) lines += `[+]${name} ok\n`
    else {
      lines += `[-]${name} failed: reason withheld\n`
      failed = true
    }
  }
  if (excluded.size > 0) {
    const names = [...excluded].map((name) => JSON.stringify(name)).join(', ')
    lines += `warn: some health checks cannot be excluded: no matches for ${names}\n`
  }
  if (failed) return { status: 500, body: `${lines}healthz check failed\n` }
  return { status: 200, body: query.has('verbose') ? `${lines}healthz check passed\n` : 'ok' }
}
