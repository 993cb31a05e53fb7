import { describe, expect, it } from 'vitest'
import { matchRoute } from '../../src/kubelet-api/route.ts'

describe('matchRoute', () => {
  it('reads the paths of kubelet, with and without the UID', () => {
    expect(matchRoute('/containerLogs/ns/web/app')).toEqual({
      kind: 'containerLogs',
      pod: { namespace: 'ns', name: 'web' },
      container: 'app',
    })
    expect(matchRoute('/exec/ns/web/u-1/app')).toEqual({
      kind: 'exec',
      pod: { namespace: 'ns', name: 'web', uid: 'u-1' },
      container: 'app',
    })
    expect(matchRoute('/portForward/ns/web/u-1')).toEqual({
      kind: 'portForward',
      pod: { namespace: 'ns', name: 'web', uid: 'u-1' },
    })
    expect(matchRoute('/run/ns/web/u-1/app')).toMatchObject({ kind: 'run', container: 'app' })
    expect(matchRoute('/runningpods/')).toEqual({ kind: 'runningPods' })
    expect(matchRoute('/stats/summary/')).toEqual({ kind: 'summary' })
    expect(matchRoute('/metrics')).toEqual({ kind: 'metrics', of: 'node' })
    expect(matchRoute('/healthz/syncloop')).toEqual({ kind: 'healthz', check: 'syncloop' })
    expect(matchRoute('/healthz/')).toEqual({ kind: 'healthz' })
  })

  it.each([
    '/',
    '/exec/ns/web',
    '/containerLogs/ns/web',
    '/containerLogs/ns//app',
    '/run/ns/web',
    '/stats',
    '/metrics/none',
    '/healthz/a/b',
    '/%',
  ])('knows nothing of %s', (path) => {
    expect(matchRoute(path)).toBeUndefined()
  })
})
