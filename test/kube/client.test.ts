import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { createKubeClient } from '../../src/kube/client.ts'
import type { Credentials } from '../../src/kube/credentials.ts'
import type { KubeApi, WatchEvent } from '../../src/kube/api.ts'
import { configMaps, nodes, pods } from '../../src/kube/resources.ts'
import { systemClock, type Clock } from '../../src/model/clock.ts'
import type { ConfigMap } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { answerJson, startHttpServer, type Answer, type TestServer } from '../support/http-server.ts'

const never = new AbortController().signal
const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function clientOf(server: string, more: { clock?: Clock; credentials?: Partial<Credentials> } = {}): KubeApi {
  const client = createKubeClient({
    credentials: {
      server,
      insecureSkipTlsVerify: false,
      identity: () => Promise.resolve({ headers: {} }),
      refused: () => undefined,
      ...more.credentials,
    },
    userAgent: 'spillway-test',
    clock: more.clock ?? systemClock,
    log: silentLog(),
    random: () => 0.5,
  })
  cleanups.push(() => client.close())
  return client
}

async function serve(answer: Answer): Promise<TestServer> {
  const server = await startHttpServer(answer)
  cleanups.push(async () => server[Symbol.asyncDispose]())
  return server
}

function configMap(name: string, resourceVersion: string, data: Record<string, string> = {}): ConfigMap {
  return { metadata: { namespace: 'default', name, uid: `uid-${name}`, resourceVersion }, data }
}

function eventLine(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`
}

async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const event of events) all.push(event)
  return all
}

const watchFrom1 = { resourceVersion: '1' }

describe('a request', () => {
  it('asks for the path of the object and sends the right content types', async () => {
    const server = await serve((_request, response) => answerJson(response, 200, {}))
    const api = clientOf(server.url)
    const node = { name: 'burst-0' }
    await api.get(pods, { namespace: 'a', name: 'b' }, never)
    await api.patch(nodes, node, { type: 'json', body: [] }, never)
    await api.patch(nodes, node, { type: 'merge', body: {}, subresource: 'status' }, never)
    await api.patch(nodes, node, { type: 'strategic', body: {} }, never)
    await api.create(configMaps, configMap('x', '1'), never)
    await api.replace(configMaps, configMap('x', '1'), never)
    expect(
      server.seen.map(({ method, url, headers }) => [method, url, headers['content-type']]),
    ).toEqual([
      ['GET', '/api/v1/namespaces/a/pods/b', undefined],
      ['PATCH', '/api/v1/nodes/burst-0', 'application/json-patch+json'],
      ['PATCH', '/api/v1/nodes/burst-0/status', 'application/merge-patch+json'],
      ['PATCH', '/api/v1/nodes/burst-0', 'application/strategic-merge-patch+json'],
      ['POST', '/api/v1/namespaces/default/configmaps', 'application/json'],
      ['PUT', '/api/v1/namespaces/default/configmaps/x', 'application/json'],
    ]) // prettier-ignore
    expect(server.seen[0]?.headers['user-agent']).toBe('spillway-test')
    expect(JSON.parse(server.seen[4]?.body ?? '')).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1' })
  })

  it('keeps the path under which the API server is published', async () => {
    const server = await serve((_request, response) => answerJson(response, 200, {}))
    await clientOf(`${server.url}/k8s/clusters/c-1`).getText('/version', never)
    expect(server.seen[0]?.url).toBe('/k8s/clusters/c-1/version')
  })

  it('deletes with whole DeleteOptions', async () => {
    const server = await serve((_request, response) => answerJson(response, 200, {}))
    const options = { graceSeconds: 0, uid: 'u1', propagation: 'Background' } as const
    await clientOf(server.url).delete(pods, { namespace: 'a', name: 'b' }, options, never)
    expect(JSON.parse(server.seen[0]?.body ?? '')).toEqual({
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: 0,
      preconditions: { uid: 'u1' },
      propagationPolicy: 'Background',
    })
  })

  it('goes on by the same connection after a deletion', async () => {
    const ports: (number | undefined)[] = []
    const server = await serve((_request, response, raw) => {
      ports.push(raw.socket.remotePort)
      answerJson(response, 200, {})
    })
    const api = clientOf(server.url)
    for (const name of ['a', 'b', 'c', 'd']) await api.delete(nodes, { name }, { uid: name }, never)
    expect(ports).toHaveLength(4)
    // The pool opens a second one when it is asked again before it has put the first away.
    expect(new Set(ports).size).toBeLessThan(3)
  })

  it('refuses a namespaced object without a namespace before asking anybody', async () => {
    const server = await serve((_request, response) => answerJson(response, 200, {}))
    const create = async (): Promise<unknown> =>
      clientOf(server.url).create(pods, { metadata: { name: 'x' } }, never)
    await expect(create()).rejects.toMatchObject({
      code: 'Invalid',
      message: 'Pod: metadata.namespace is missing',
    })
    expect(server.seen).toEqual([])
  })

  it.each([
    [401, undefined, { code: 'Forbidden' }],
    [403, undefined, { code: 'Forbidden' }],
    [404, undefined, { code: 'NotFound' }],
    [409, undefined, { code: 'Conflict', retry: true }],
    [410, undefined, { code: 'Expired' }],
    [422, undefined, { code: 'Invalid', retry: false }],
    [429, '3', { code: 'Busy', afterMs: 3000 }],
    [500, undefined, { code: 'Unavailable' }],
    [503, undefined, { code: 'Unavailable' }],
    [503, '7', { code: 'Busy', afterMs: 7000 }],
  ])('translates %i with Retry-After %s', async (statusCode, retryAfter, expected) => {
    const server = await serve((_request, response) => {
      if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter)
      answerJson(response, statusCode, { kind: 'Status', reason: 'SomeReason', message: 'because' })
    })
    const get = clientOf(server.url).get(nodes, { name: 'n' }, never)
    await expect(get).rejects.toMatchObject({
      ...expected,
      reason: 'SomeReason',
      message: 'GET /api/v1/nodes/n: because',
    })
  })

  it('names the fields that the API server refused', async () => {
    const causes = [{ field: 'spec.nodeName', message: 'may not be changed' }]
    const server = await serve((_request, response) =>
      answerJson(response, 422, { kind: 'Status', message: 'Pod is invalid', details: { causes } }),
    )
    await expect(clientOf(server.url).get(nodes, { name: 'n' }, never)).rejects.toThrow(
      'GET /api/v1/nodes/n: Pod is invalid (spec.nodeName: may not be changed)',
    )
  })

  it('tries a 401 once more with an identity read anew', async () => {
    let token = 'old'
    const server = await serve(({ headers }, response) => {
      if (headers.authorization === 'Bearer new') answerJson(response, 200, {})
      else answerJson(response, 401, { kind: 'Status', reason: 'Unauthorized' })
    })
    const api = clientOf(server.url, {
      credentials: {
        identity: () => Promise.resolve({ headers: { authorization: `Bearer ${token}` } }),
        refused: () => {
          token = 'new'
        },
      },
    })
    await api.getText('/version', never)
    expect(server.seen).toHaveLength(2)
  })

  it('is Unavailable when nobody listens, and when no answer comes in time', async () => {
    const gone = await startHttpServer(() => undefined)
    await gone[Symbol.asyncDispose]()
    await expect(clientOf(gone.url).getText('/x', never)).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringMatching(/^GET \/x at http:.*ECONNREFUSED/) as string,
    })

    const clock = new FakeClock()
    const silent = await serve(() => undefined)
    const waiting = clientOf(silent.url, { clock }).getText('/x', never)
    const refused = expect(waiting).rejects.toMatchObject({
      code: 'Unavailable',
      message: 'GET /x: no answer within 30000 ms',
    })
    await clock.whenPending(1)
    await clock.advance(30_000)
    await refused
  })

  it('rejects with the reason of the signal', async () => {
    const server = await serve(() => undefined)
    const stop = new AbortController()
    const waiting = clientOf(server.url).getText('/x', stop.signal)
    const rejected = expect(waiting).rejects.toThrow('enough')
    stop.abort(new Error('enough'))
    await rejected
  })
})

describe('a list', () => {
  it('follows continue to the end and names the kind of each object', async () => {
    const server = await serve(({ url }, response) => {
      const second = url.includes('continue=next')
      answerJson(response, 200, {
        metadata: { resourceVersion: '7', ...(!second && { continue: 'next' }) },
        items: [configMap(second ? 'b' : 'a', '5')],
      })
    })
    const list = await clientOf(server.url).list(configMaps, { labelSelector: 'a=b', pageSize: 1 }, never)
    expect(list.items.map((item) => [item.kind, item.metadata?.name])).toEqual([['ConfigMap', 'a'], ['ConfigMap', 'b']]) // prettier-ignore
    expect(list.metadata.resourceVersion).toBe('7')
    expect(server.seen.map(({ url }) => url)).toEqual([
      '/api/v1/configmaps?labelSelector=a%3Db&limit=1',
      '/api/v1/configmaps?labelSelector=a%3Db&limit=1&continue=next',
    ])
  })

  it('begins anew in one page when its version expires between pages', async () => {
    const server = await serve(({ url }, response) => {
      if (url.includes('continue=')) return answerJson(response, 410, { kind: 'Status', reason: 'Expired' })
      const paged = url.includes('limit=')
      const metadata = { resourceVersion: paged ? '7' : '9', ...(paged && { continue: 'next' }) }
      answerJson(response, 200, { metadata, items: [configMap('a', '5')] })
    })
    const list = await clientOf(server.url).list(configMaps, {}, never)
    expect(list.metadata.resourceVersion).toBe('9')
    expect(list.items).toHaveLength(1)
  })
})

describe('a watch', () => {
  it('asks for bookmarks and a time-out, and tells when it is accepted', async () => {
    const server = await serve((_request, response) => void response.writeHead(200).end())
    let opened = 0
    const options = { namespace: 'a', resourceVersion: '5', onOpen: () => void opened++ }
    expect(await collect(clientOf(server.url).watch(pods, options, never))).toEqual([])
    expect(opened).toBe(1)
    expect(server.seen[0]?.url).toBe(
      '/api/v1/namespaces/a/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=450',
    )
  })

  it('reads events whose characters are split between chunks', async () => {
    const text = 'Grüße, 世界 🌊'
    const object = configMap('a', '2', { text })
    const bytes = Buffer.from(
      eventLine('ADDED', object) + eventLine('BOOKMARK', { metadata: { resourceVersion: '9' } }),
    )
    const server = await serve(async (_request, response) => {
      for (const byte of bytes) {
        response.write(Uint8Array.of(byte))
        await new Promise(setImmediate)
      }
      response.end()
    })
    const events = await collect<WatchEvent<ConfigMap>>(
      clientOf(server.url).watch(configMaps, watchFrom1, never),
    )
    expect(events).toEqual([
      { type: 'ADDED', object },
      { type: 'BOOKMARK', resourceVersion: '9' },
    ])
  })

  it('rejects with Expired for a 410 inside the stream, after the events before it', async () => {
    const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' }
    const server = await serve(
      (_request, response) =>
        void response.end(eventLine('ADDED', configMap('a', '2')) + eventLine('ERROR', status)),
    )
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const event of clientOf(server.url).watch(configMaps, watchFrom1, never)) seen.push(event)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'Expired', reason: 'Expired' })
    expect(seen).toHaveLength(1)
  })

  it.each([
    ['a connection reset', (response: { destroy(): void }) => response.destroy()],
    ['an event cut off', (response: { end(text: string): void }) => response.end('{"type":"ADD')],
    ['a line that is not JSON', (response: { end(text: string): void }) => response.end('oops\n')],
  ])('rejects with Unavailable for %s', async (_name, finish) => {
    const server = await serve((_request, response) => {
      response.write(eventLine('ADDED', configMap('a', '2')), () => finish(response))
    })
    const reading = collect(clientOf(server.url).watch(configMaps, watchFrom1, never))
    await expect(reading).rejects.toMatchObject({ code: 'Unavailable' })
  })

  it('rejects with Busy when the server refuses it with 429', async () => {
    const server = await serve((_request, response) => {
      response.setHeader('retry-after', '2')
      answerJson(response, 429, { kind: 'Status', reason: 'TooManyRequests' })
    })
    const reading = collect(clientOf(server.url).watch(configMaps, watchFrom1, never))
    await expect(reading).rejects.toMatchObject({ code: 'Busy', afterMs: 2000 })
  })

  it('gives up a stream on which nothing comes, and closes its connection', async () => {
    const clock = new FakeClock()
    let closed: Promise<unknown> | undefined
    const server = await serve((_request, response, raw) => {
      closed = once(raw.socket, 'close')
      response.write(eventLine('ADDED', configMap('a', '2')))
    })
    const watch = clientOf(server.url, { clock }).watch(configMaps, watchFrom1, never)
    const events = watch[Symbol.asyncIterator]()
    await events.next()
    const second = expect(events.next()).rejects.toMatchObject({
      code: 'Unavailable',
      reason: 'WatchStalled',
    })
    await clock.whenPending(1)
    await clock.advance(89_999)
    expect(clock.pending).toBe(1)
    await clock.advance(1)
    await second
    await closed
  })

  it('closes its connection at once when the signal is aborted or the loop is left', async () => {
    const closed: Promise<unknown>[] = []
    const server = await serve((_request, response, raw) => {
      closed.push(once(raw.socket, 'close'))
      response.write(eventLine('ADDED', configMap('a', '2')))
    })
    const api = clientOf(server.url)
    for await (const event of api.watch(configMaps, watchFrom1, never)) {
      expect(event.type).toBe('ADDED')
      break
    }
    await closed[0]

    const stop = new AbortController()
    const events = api.watch(configMaps, watchFrom1, stop.signal)[Symbol.asyncIterator]()
    await events.next()
    const pending = expect(events.next()).rejects.toThrow('enough')
    stop.abort(new Error('enough'))
    await pending
    await closed[1]
  })

  it('does not hold up requests, however many watches there are', async () => {
    const server = await serve(({ url }, response) => {
      if (url.includes('watch=true'))
        response.write(eventLine('BOOKMARK', { metadata: { resourceVersion: '2' } }))
      else answerJson(response, 200, {})
    })
    const api = clientOf(server.url)
    const stop = new AbortController()
    const watches = Array.from({ length: 60 }, () =>
      api.watch(pods, watchFrom1, stop.signal)[Symbol.asyncIterator](),
    )
    await Promise.all(watches.map((watch) => watch.next()))
    await api.get(nodes, { name: 'n' }, never)
    stop.abort(new Error('over'))
    await Promise.allSettled(watches.map((watch) => watch.next()))
  })
})
