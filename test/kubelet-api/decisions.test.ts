import { describe, expect, it } from 'vitest'
import { logUnavailable } from '../../src/kubelet-api/log-unavailable.ts'
import { parseLogQuery } from '../../src/kubelet-api/log-query.ts'
import { requestAttributes } from '../../src/kubelet-api/request-attributes.ts'
import { ReviewCache } from '../../src/kubelet-api/review-cache.ts'
import { matchRoute } from '../../src/kubelet-api/route.ts'
import { FakeClock } from '../support/fake-clock.ts'

describe('requestAttributes', () => {
  it.each([
    ['GET', '/healthz', 'get', ['healthz', 'proxy']],
    ['GET', '/pods', 'get', ['pods', 'proxy']],
    ['GET', '/runningpods/', 'get', ['pods', 'proxy']],
    ['GET', '/configz', 'get', ['configz', 'proxy']],
    ['GET', '/stats/summary', 'get', ['stats']],
    ['GET', '/metrics/resource', 'get', ['metrics']],
    ['GET', '/logs/', 'get', ['log']],
    ['GET', '/containerLogs/ns/pod/c', 'get', ['proxy']],
    ['POST', '/exec/ns/pod/c', 'create', ['proxy']],
    ['GET', '/podsfoo', 'get', ['proxy']],
  ])('%s %s asks to %s %j', (method, path, verb, subresources) => {
    expect(requestAttributes(method, path)).toEqual({ verb, subresources })
  })
})

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
    expect(matchRoute('/runningpods/')).toEqual({ kind: 'runningPods' })
  })

  it.each(['/', '/exec/ns/web', '/containerLogs/ns/web', '/containerLogs/ns//app', '/run/ns/web/app', '/%'])(
    'knows nothing of %s',
    (path) => {
      expect(matchRoute(path)).toBeUndefined()
    },
  )
})

describe('parseLogQuery', () => {
  const nowMs = Date.parse('2026-01-02T00:00:00Z')
  const parse = (query: string) => parseLogQuery(new URLSearchParams(query), nowMs)

  it('reads all options', () => {
    expect(parse('follow=true&tailLines=0&limitBytes=9&timestamps=1&previous=false&sinceSeconds=60')).toEqual(
      {
        ok: true,
        options: {
          follow: true,
          previous: false,
          timestamps: true,
          tailLines: 0,
          limitBytes: 9,
          sinceMs: nowMs - 60_000,
        },
      },
    )
    expect(parse('sinceTime=2026-01-01T00%3A00%3A00Z&tail=all')).toMatchObject({
      options: { sinceMs: nowMs - 86_400_000 },
    })
  })

  it.each([
    ['tailLines=x', 400],
    ['sinceTime=yesterday', 400],
    ['stream=Stdout', 400],
    ['tailLines=-1', 422],
    ['limitBytes=0', 422],
    ['sinceSeconds=0', 422],
    ['sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z', 422],
  ])('answers %s with %d', (query, status) => {
    expect(parse(query)).toMatchObject({ ok: false, status })
  })
})

describe('logUnavailable', () => {
  const waiting = (reason: string) => ({
    metadata: { name: 'web' },
    status: {
      containerStatuses: [
        {
          name: 'app',
          image: 'x',
          imageID: '',
          ready: false,
          restartCount: 0,
          state: { waiting: { reason } },
        },
      ],
    },
  })
  const of = (reason: string, previous = false) =>
    logUnavailable(waiting(reason), { container: 'app', previous })

  it('says in the words of kubelet what a container waits for', () => {
    expect(of('ContainerCreating')).toBe(
      'container "app" in pod "web" is waiting to start: ContainerCreating',
    )
    expect(of('ErrImagePull')).toBe(`container "app" in pod "web" is waiting to start: image can't be pulled`)
    expect(of('Running', true)).toBe('previous terminated container "app" in pod "web" not found')
    expect(logUnavailable({ metadata: { name: 'web' } }, { container: 'app', previous: false })).toBe(
      'container "app" in pod "web" is not available',
    )
  })
})

describe('ReviewCache', () => {
  it('asks once for a while, and once at a time', async () => {
    const clock = new FakeClock()
    const cache = new ReviewCache<number>({ clock, keepMs: () => 1000 })
    let asked = 0
    const ask = async (): Promise<number> => (asked += 1)
    expect(await Promise.all([cache.get('a', ask), cache.get('a', ask)])).toEqual([1, 1])
    await clock.advance(999)
    expect(await cache.get('a', ask)).toBe(1)
    await clock.advance(1)
    expect(await cache.get('a', ask)).toBe(2)
  })

  it('keeps no errors, and no more entries than it may', async () => {
    const cache = new ReviewCache<number>({ clock: new FakeClock(), keepMs: () => 1000, mostEntries: 2 })
    await expect(cache.get('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    expect(await cache.get('a', async () => 1)).toBe(1)
    await cache.get('b', async () => 1)
    await cache.get('c', async () => 1)
    expect(await cache.get('a', async () => 2)).toBe(2)
  })
})
