import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { PassThrough, Readable } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { selfSignedCertificate } from '../../src/kubelet-api/self-signed.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { clientIdentity, openNodeApi, type NodeApiBench } from '../support/node-api.ts'

let bench: NodeApiBench
let ask: NodeApiBench['ask']

beforeEach(async () => {
  bench = await openNodeApi()
  ;({ ask } = bench)
})

afterEach(() => bench.stop())

describe('who may ask', () => {
  it('is nobody without a name, or with a wrong token', async () => {
    expect(await ask('/healthz')).toMatchObject({ status: 401, body: 'Unauthorized' })
    expect(await ask('/healthz', { token: 'bad' })).toMatchObject({ status: 401, body: 'Unauthorized' })
  })

  it('is known by a certificate of the client CA, groups and all', async () => {
    expect(await ask('/healthz', { identity: bench.client })).toMatchObject({ status: 200, body: 'ok' })
    expect(bench.reviews.asked.at(-1)?.spec).toMatchObject({
      user: 'kube-apiserver',
      groups: ['system:masters', 'system:authenticated'],
      resourceAttributes: { verb: 'get', resource: 'nodes', subresource: 'proxy', name: 'burst-0' },
    })
  })

  it('is not known by a certificate of somebody else', async () => {
    const other = await clientIdentity()
    expect(await ask('/healthz', { identity: other.client })).toMatchObject({ status: 401 })
  })

  it('is asked of the API server once for a while', async () => {
    await ask('/healthz', { token: 'good' })
    const count = bench.reviews.asked.length
    expect(await ask('/healthz', { token: 'good' })).toMatchObject({ status: 200 })
    expect(bench.reviews.asked).toHaveLength(count)
    await bench.clock.advance(5 * 60_000)
    await ask('/healthz', { token: 'good' })
    expect(bench.reviews.asked.length).toBeGreaterThan(count)
  })

  it('needs the finer subresource or proxy, and is told which', async () => {
    bench.reviews.allowed = new Set(['pods'])
    expect(await ask('/pods', { token: 'good' })).toMatchObject({ status: 200 })
    expect(await ask('/healthz', { token: 'good' })).toMatchObject({
      status: 403,
      body: 'Forbidden (user=alice, verb=get, resource=nodes, subresource(s)=[healthz proxy])\n',
    })
  })

  it('cannot be found out while the API server is down, and is refused', async () => {
    bench.reviews.down = true
    expect(await ask('/healthz', { token: 'good' })).toMatchObject({ status: 401 })
    expect(await ask('/healthz', { identity: bench.client })).toMatchObject({
      status: 500,
      body: 'Authorization error (user=kube-apiserver, verb=get, resource=nodes, subresource=healthz)',
    })
  })
})

describe('Pods', () => {
  it('of the node are listed', async () => {
    const { body } = await ask('/pods', { token: 'good' })
    expect(JSON.parse(body)).toMatchObject({ kind: 'PodList', items: [{ metadata: { name: 'web' } }] })
    expect(await ask('/runningpods/', { token: 'good' })).toMatchObject({ status: 200 })
  })
})

describe('health', () => {
  it('is told as a whole and check by check, and why only to who asks for the one', async () => {
    expect(await ask('/healthz', { token: 'good' })).toMatchObject({ status: 200, body: 'ok' })
    expect(await ask('/healthz/ping', { token: 'good' })).toMatchObject({ status: 200, body: 'ok' })
    bench.syncProblem = 'stuck'
    const whole = await ask('/healthz', { token: 'good' })
    expect(whole).toMatchObject({
      status: 500,
      body: expect.stringContaining('[-]syncloop failed: reason withheld'),
    })
    const one = await ask('/healthz/syncloop', { token: 'good' })
    expect(one).toMatchObject({ status: 500, body: 'internal server error: stuck\n' })
    expect(await ask('/healthz/none', { token: 'good' })).toMatchObject({ status: 404 })
  })
})

describe('settings and figures', () => {
  it('are a KubeletConfiguration of what is true', async () => {
    const { body } = await ask('/configz', { token: 'good' })
    const { kubeletconfig } = JSON.parse(body) as { kubeletconfig: Record<string, unknown> }
    expect(kubeletconfig).toMatchObject({
      kind: 'KubeletConfiguration',
      port: 10_260,
      maxPods: 110,
      clusterDNS: ['10.96.0.10'],
      authentication: { anonymous: { enabled: false }, x509: { clientCAFile: '/etc/ca.crt' } },
    })
  })

  it('of the node API itself are counted under kubelet’s names', async () => {
    bench.reviews.allowed = new Set(['metrics', 'proxy'])
    await ask('/pods', { token: 'good' })
    const { body, headers } = await ask('/metrics', { token: 'good' })
    expect(headers['content-type']).toContain('text/plain')
    expect(body).toContain('kubelet_node_name{node="burst-0"} 1')
    expect(body).toContain('kubelet_running_pods 1')
    expect(body).toContain('kubelet_running_containers{container_state="running"} 1')
    expect(body).toMatch(/kubelet_http_requests_total\{method="GET",path="pods",[^}]*\} 1/)
  })

  it('of usage say so when they cannot be read', async () => {
    bench.reviews.allowed = new Set(['metrics', 'stats'])
    bench.backend.used = () => {
      throw new SpillwayError('Unavailable', 'containerd is away')
    }
    const summary = await ask('/stats/summary', { token: 'good' })
    expect(summary).toMatchObject({ status: 500, body: 'Internal Error: containerd is away' })
    const { status, body } = await ask('/metrics/resource', { token: 'good' })
    expect(status).toBe(200)
    expect(body).toMatch(/^resource_scrape_error 1$/m)
    expect(body).not.toContain('node_cpu_usage_seconds_total')
  })

  it('on disk are only looked for when they are asked for', async () => {
    bench.reviews.allowed = new Set(['metrics', 'stats'])
    const paths = ['/stats/summary', '/stats/summary?only_cpu_and_memory=true', '/metrics/resource']
    for (const path of paths) expect(await ask(path, { token: 'good' })).toMatchObject({ status: 200 })
    expect(bench.backend.calls).toEqual([true, false, false].map((storage) => ({ usage: { storage } })))
  })
})

describe('run', () => {
  const path = '/run/shop/web/app?cmd=ls%20-l'

  it('answers with all that the command wrote', async () => {
    const answer = await ask(path, { token: 'good', method: 'POST' })
    expect(answer).toMatchObject({ status: 200, body: 'out\nerr\n' })
    expect(bench.backend.calls).toEqual([{ uid: 'u-1', container: 'app', command: ['ls', '-l'] }])
  })

  it('says how a command failed', async () => {
    bench.backend.result = { ...bench.backend.result, exitCode: 2 }
    const answer = await ask(path, { token: 'good', method: 'POST' })
    expect(answer).toMatchObject({ status: 500, body: "command 'ls -l' exited with 2: err\n" })
  })

  it('is a POST', async () => {
    const answer = await ask(path, { token: 'good' })
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'POST' } })
  })
})

describe('what scrapers of kubelets ask for', () => {
  it('is answered at each of their paths', async () => {
    bench.reviews.allowed = new Set(['metrics'])
    for (const path of ['', '/cadvisor', '/probes', '/resource', '/slis'])
      expect(await ask(`/metrics${path}`, { token: 'good' }), path).toMatchObject({ status: 200 })
  })

  it('tells since when the node answers, and what its health checks say', async () => {
    bench.reviews.allowed = new Set(['metrics'])
    const { body } = await ask('/metrics/probes', { token: 'good' })
    expect(body).toMatch(/^process_start_time_seconds 1767225600$/m)
    const slis = await ask('/metrics/slis', { token: 'good' })
    expect(slis.body).toMatch(/^kubernetes_healthcheck\{name="syncloop",type="healthz"\} 1$/m)
  })
})

describe('what a virtual node does not offer', () => {
  it.each([
    ['/logs/', 'log', 405, 'logs endpoint is disabled.\n'],
    ['/debug/pprof/heap', 'proxy', 405, 'profiling endpoint is disabled.\n'],
    ['/debug/flags/v', 'proxy', 405, 'flags endpoint is disabled.\n'],
    ['/checkpoint/shop/web/app', 'checkpoint', 404, 'containers on a virtual node cannot be checkpointed\n'],
  ])('%s, is said in a sentence to who may ask (%s)', async (path, subresource, status, body) => {
    bench.reviews.allowed = new Set()
    expect(await ask(path, { token: 'good' })).toMatchObject({ status: 403 })
    bench.reviews.allowed = new Set([subresource])
    await bench.clock.advance(60_000)
    expect(await ask(path, { token: 'good' })).toMatchObject({ status, body })
  })
})

describe('a request that makes no sense', () => {
  it.each(['*', '//', '/%', '/%73tats/summary'])('such as %s does no harm', async (path) => {
    const { status } = await ask(path, { token: 'good' })
    expect(status).toBeGreaterThanOrEqual(400)
    expect(await ask('/healthz', { token: 'good' })).toMatchObject({ status: 200 })
  })
})

describe('logs', () => {
  it('are passed on with their options', async () => {
    bench.backend.log = () => Readable.from(['one\n', 'two\n'])
    const path = '/containerLogs/shop/web/app?tailLines=5&timestamps=true'
    expect(await ask(path, { token: 'good' })).toMatchObject({ status: 200, body: 'one\ntwo\n' })
    expect(bench.backend.calls).toEqual([
      {
        uid: 'u-1',
        container: 'app',
        options: { follow: false, previous: false, timestamps: true, tailLines: 5 },
      },
    ])
  })

  it('begin before the first line has come, and stop when the reader goes', async () => {
    const lines = new PassThrough()
    bench.backend.log = () => lines
    const answer = await new Promise<IncomingMessage>((resolve) => {
      const headers = { authorization: 'Bearer good' }
      const path = '/containerLogs/shop/web/app?follow=true'
      httpsRequest(
        { host: '127.0.0.1', port: bench.port, path, headers, ca: bench.serving.cert, agent: false },
        resolve,
      ).end()
    })
    expect(answer.statusCode).toBe(200)
    lines.write('first\n')
    expect(String((await answer.iterator({ destroyOnReturn: false }).next()).value)).toBe('first\n')
    const closed = new Promise((resolve) => lines.once('close', resolve))
    answer.destroy()
    await closed
  })

  it('of what is not there are answered as by kubelet', async () => {
    expect(await ask('/containerLogs/shop/none/app', { token: 'good' })).toMatchObject({
      status: 404,
      body: 'pod "none" does not exist',
    })
    expect(await ask('/containerLogs/shop/web/none', { token: 'good' })).toMatchObject({
      status: 404,
      body: 'container "none" not found in pod "web"',
    })
    bench.backend.log = () => {
      throw new SpillwayError('NotFound', 'no log')
    }
    expect(await ask('/containerLogs/shop/web/app', { token: 'good' })).toMatchObject({
      status: 400,
      body: 'container "app" in pod "web" is terminated',
    })
    expect(await ask('/containerLogs/shop/web/app?stream=Stderr', { token: 'good' })).toMatchObject({
      status: 400,
      body: expect.stringContaining('unable to return the given log stream: "Stderr"'),
    })
    expect(await ask('/nothing', { token: 'good' })).toMatchObject({ status: 404 })
  })
})

describe('the serving certificate', () => {
  it('is replaced for new connections when it is renewed', async () => {
    const nowMs = new Date('2026-02-01').getTime()
    const renewed = await selfSignedCertificate({
      nodeName: 'burst-0',
      addresses: ['127.0.0.1'],
      nowMs,
      lifeMs: 1e12,
    })
    bench.certificate.set(renewed)
    const fingerprint = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port: bench.port, ca: renewed.cert }, () => {
        resolve(socket.getPeerCertificate().valid_from)
        socket.destroy()
      })
      socket.on('error', reject)
    })
    expect(Date.parse(fingerprint)).toBe(nowMs - 5 * 60_000)
  })

  it('keeps the old pair when the new one does not fit together', () => {
    expect(() => bench.certificate.set({ cert: bench.serving.cert, key: bench.client.key })).toThrow()
    expect(bench.certificate.current).toEqual(bench.serving)
  })
})
