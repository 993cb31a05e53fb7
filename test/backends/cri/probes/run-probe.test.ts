import 'reflect-metadata'
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTcpServer, type AddressInfo, type Server as NetServer } from 'node:net'
import {
  Server as GrpcServer,
  ServerCredentials,
  loadPackageDefinition,
  status,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import * as x509 from '@peculiar/x509'
import { afterEach, describe, expect, it } from 'vitest'
import type { ExecInContainer } from '../../../../src/backends/cri/runtime/exec-in-container.ts'
import { Prober, type ProberInput } from '../../../../src/backends/cri/probes/prober.ts'
import { runProbe } from '../../../../src/backends/cri/probes/run-probe.ts'
import type { PodHappening } from '../../../../src/backends/backend.ts'
import { systemClock } from '../../../../src/model/clock.ts'
import type { ProbeConclusion } from '../../../../src/lifecycle/probe-state.ts'
import type { Container, Probe } from '../../../../src/model/kubernetes.ts'
import { FakeClock } from '../../../support/fake-clock.ts'
import { containerOf } from '../fake-sources.ts'

const never = new AbortController().signal
const servers: (Server | NetServer)[] = []
const noExec: ExecInContainer = () => Promise.reject(new Error('no exec here'))

afterEach(async () => {
  for (const server of servers.splice(0)) {
    if ('closeAllConnections' in server) server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function listen(server: Server | NetServer): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

function serve(listener: RequestListener): Promise<number> {
  return listen(createHttpServer(listener))
}

function probeOnce(probe: Probe, container: Partial<Container> = {}, exec = noExec) {
  return runProbe(
    probe,
    { container: containerOf(container), podIp: '127.0.0.1', exec, clock: systemClock },
    never,
  )
}

/** A port that nothing listens on. */
async function freePort(): Promise<number> {
  const server = createTcpServer()
  const port = await listen(server)
  servers.pop()
  await new Promise((resolve) => server.close(resolve))
  return port
}

describe('an HTTP probe', () => {
  it('succeeds with 200 to 299, and fails with the status otherwise', async () => {
    const port = await serve((request, response) => {
      response.statusCode = Number(request.url?.slice(1))
      response.end('body')
    })
    const of = (status: number) => probeOnce({ httpGet: { port, path: `/${status}` } })
    expect(await of(200)).toEqual({ result: 'success' })
    expect(await of(299)).toEqual({ result: 'success' })
    expect(await of(404)).toEqual({ result: 'failure', output: 'HTTP probe failed with statuscode: 404' })
    expect(await of(500)).toEqual({ result: 'failure', output: 'HTTP probe failed with statuscode: 500' })
  })

  it('says that it is a probe, and sends the headers asked for', async () => {
    const seen: IncomingMessage[] = []
    const port = await serve((request, response) => {
      seen.push(request)
      response.end()
    })
    await probeOnce({ httpGet: { port, path: 'a?b=c' } })
    const httpHeaders = [
      { name: 'Host', value: 'shop.example' },
      { name: 'X-A', value: '1' },
      { name: 'X-A', value: '2' },
      { name: 'Accept', value: '' },
      { name: 'User-Agent', value: 'mine' },
    ]
    await probeOnce({ httpGet: { port, httpHeaders } })
    expect(seen[0]?.url).toBe('/a?b=c')
    expect(seen[0]?.headers).toMatchObject({ 'user-agent': 'kube-probe/1.37', accept: '*/*' })
    expect(seen[1]?.headers).toMatchObject({ host: 'shop.example', 'x-a': '1, 2', 'user-agent': 'mine' })
    expect(seen[1]?.headers).not.toHaveProperty('accept')
  })

  it('follows redirects on the same host, and warns of those that lead elsewhere', async () => {
    const port = await serve((request, response) => {
      const to = { '/near': '/ok', '/far': 'http://elsewhere.example/', '/loop': '/loop' }[request.url ?? '']
      if (to) response.writeHead(302, { location: to })
      response.end('moved')
    })
    expect(await probeOnce({ httpGet: { port, path: '/near' } })).toEqual({ result: 'success' })
    expect(await probeOnce({ httpGet: { port, path: '/far' } })).toEqual({
      result: 'warning',
      output: 'Probe terminated redirects, Response body: moved',
    })
    expect(await probeOnce({ httpGet: { port, path: '/loop' } })).toMatchObject({
      result: 'failure',
      output: expect.stringContaining('stopped after 10 redirects') as string,
    })
  })

  it.each([
    ['lines that end as a shell script writes them', 'HTTP/1.1 200 OK\n\nok'],
    ['no reason and no header', 'HTTP/1.0 200\r\n\r\nok'],
    [
      'a length beside chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ],
    ['a long header', `HTTP/1.1 200 OK\r\nCookie: ${'x'.repeat(40_000)}\r\n\r\nok`],
  ])('takes answers that Go takes: %s', async (_kind, answer) => {
    const server = createTcpServer((socket) => socket.once('data', () => socket.end(answer)))
    expect(await probeOnce({ httpGet: { port: await listen(server) } })).toEqual({ result: 'success' })
  })

  it('says nothing about the container when the answer does not come to its end', async () => {
    const endless = await serve((_request, response) => void response.write('tick\n'))
    expect(await probeOnce({ httpGet: { port: endless } })).toEqual({
      result: 'unknown',
      state: 'failure',
      error: 'context deadline exceeded (Client.Timeout or context cancellation while reading body)',
    })
    const cut = createTcpServer((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nok')),
    )
    expect(await probeOnce({ httpGet: { port: await listen(cut) } })).toEqual({
      result: 'unknown',
      state: 'failure',
      error: 'unexpected EOF',
    })
  })

  it('needs no more of an answer than its first 10 KiB', async () => {
    const port = await serve((_request, response) => void response.write('x'.repeat(11 * 1024)))
    expect(await probeOnce({ httpGet: { port } })).toEqual({ result: 'success' })
  })

  it('finds a port by its name in the container', async () => {
    const port = await serve((_request, response) => response.end())
    const ports = [{ name: 'web', containerPort: port }]
    expect(await probeOnce({ httpGet: { port: 'web' } }, { ports })).toEqual({ result: 'success' })
    expect(await probeOnce({ httpGet: { port: 'none' } }, { ports })).toEqual({
      result: 'unknown',
      error: 'port "none" not found',
    })
  })

  it('fails in the words of kubelet when nothing listens, or no answer comes in time', async () => {
    const closed = await freePort()
    expect(await probeOnce({ httpGet: { port: closed } })).toEqual({
      result: 'failure',
      output: `Get "http://127.0.0.1:${closed}/": dial tcp 127.0.0.1:${closed}: connect: connection refused`,
    })
    const silent = await serve(() => {})
    expect(await probeOnce({ httpGet: { port: silent }, timeoutSeconds: 0.05 })).toEqual({
      result: 'failure',
      output: `Get "http://127.0.0.1:${silent}/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
    })
  })

  it('reads no more of an endless answer than it needs', async () => {
    const port = await serve((_request, response) => {
      const more = (): void => {
        while (response.write('x'.repeat(10_000)));
        response.once('drain', more)
      }
      more()
    })
    expect(await probeOnce({ httpGet: { port } })).toEqual({ result: 'success' })
  })

  it('does not check the certificate with HTTPS', async () => {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({ name: 'CN=other', keys })
    const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
    const pem = `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`
    const server = createHttpsServer(
      { key: pem, cert: certificate.toString('pem') },
      (_request, response) => {
        response.end()
      },
    )
    const port = await listen(server)
    expect(await probeOnce({ httpGet: { port, scheme: 'HTTPS' } })).toEqual({ result: 'success' })
  })
})

describe('a TCP probe', () => {
  it('succeeds when a connection opens, and fails in the words of kubelet when not', async () => {
    const port = await listen(createTcpServer())
    expect(await probeOnce({ tcpSocket: { port } })).toEqual({ result: 'success' })
    const closed = await freePort()
    expect(await probeOnce({ tcpSocket: { port: closed } })).toEqual({
      result: 'failure',
      output: `dial tcp 127.0.0.1:${closed}: connect: connection refused`,
    })
  })
})

describe('an exec probe', () => {
  it('goes by the exit code, with the output as the reason', async () => {
    const command = ['check', '$(WHAT)']
    const env = [{ name: 'WHAT', value: 'disk' }]
    const exec: ExecInContainer = async (request) => ({ exitCode: 3, output: request.command.join(' ') })
    expect(await probeOnce({ exec: { command } }, { env }, exec)).toEqual({
      result: 'failure',
      output: 'check disk',
    })
    const fine: ExecInContainer = async () => ({ exitCode: 0, output: '' })
    expect(await probeOnce({ exec: { command } }, {}, fine)).toEqual({ result: 'success' })
  })

  it('fails when the command does not end in time', async () => {
    const exec: ExecInContainer = async () => ({ exitCode: 0, output: '', timedOut: true })
    for (const [timeoutSeconds, told] of [
      [2, '2s'],
      [90, '1m30s'],
    ] as const) {
      expect(await probeOnce({ exec: { command: ['sleep', '9'] }, timeoutSeconds }, {}, exec)).toEqual({
        result: 'failure',
        output: `command timed out: "sleep 9" timed out after ${told}`,
      })
    }
  })

  it('is tried three times when it cannot be run, then says nothing about the container', async () => {
    let runs = 0
    const exec: ExecInContainer = () => {
      runs += 1
      return Promise.reject(new Error('no such container'))
    }
    expect(await probeOnce({ exec: { command: ['x'] } }, {}, exec)).toEqual({
      result: 'unknown',
      error: 'no such container',
    })
    expect(runs).toBe(3)
  })
})

describe('Prober', () => {
  /** A container whose exec probes answer what `exitCode` says, on a clock of its own. */
  class Scene {
    readonly clock = new FakeClock(1_000_000)
    readonly probedAtMs: number[] = []
    readonly conclusions: ProbeConclusion[] = []
    readonly happenings: PodHappening[] = []
    readonly stop = new AbortController()
    stopping = false
    exitCode = 1
    readonly prober: Prober
    readonly done: Promise<void>

    constructor(container: Partial<Container>, more: Partial<ProberInput> = {}) {
      const startedAtMs = this.clock.wallMs()
      this.prober = new Prober({
        container: containerOf(container),
        fieldPath: 'spec.containers{app}',
        podIp: '127.0.0.1',
        startedAtMs,
        exec: async () => {
          this.probedAtMs.push(this.clock.wallMs() - startedAtMs)
          return { exitCode: this.exitCode, output: 'not yet' }
        },
        clock: this.clock,
        random: () => 0.5,
        isStopping: () => this.stopping,
        onConclusion: (conclusion) => this.conclusions.push(conclusion),
        onHappening: (happening) => this.happenings.push(happening),
        ...more,
      })
      this.done = this.prober.run(this.stop.signal)
    }

    /** Answers when it was probed meanwhile, in ms after the start. */
    async pass(durationMs: number): Promise<number[]> {
      await this.clock.advance(durationMs)
      return this.probedAtMs.splice(0)
    }

    async end(): Promise<void> {
      this.stop.abort()
      await this.done
    }
  }

  const exec = { command: ['check'] }

  it('looks at once and often during the first period, without telling of failures', async () => {
    const scene = new Scene({ readinessProbe: { exec, periodSeconds: 10 } })
    expect(await scene.pass(2000)).toEqual([0, 100, 300, 700, 1500])
    expect(scene.happenings).toEqual([])
    expect(scene.prober.conclusion).toMatchObject({ started: true, ready: false })
    scene.exitCode = 0
    expect(await scene.pass(500)).toEqual([2500])
    expect(scene.conclusions).toEqual([{ started: true, ready: true, kill: undefined }])
    expect(await scene.pass(20_000)).toEqual([12_500, 22_500])
    await scene.end()
  })

  it('tells of failures after the first period, and takes readiness back after the threshold', async () => {
    const scene = new Scene({ readinessProbe: { exec, periodSeconds: 1, failureThreshold: 2 } })
    await scene.pass(1000)
    expect(scene.happenings).toEqual([
      {
        type: 'Warning',
        reason: 'Unhealthy',
        message: 'Readiness probe failed: not yet',
        fieldPath: 'spec.containers{app}',
      },
    ])
    scene.exitCode = 0
    await scene.pass(1000)
    expect(scene.prober.conclusion.ready).toBe(true)
    scene.exitCode = 1
    await scene.pass(1000)
    expect(scene.prober.conclusion.ready).toBe(true)
    await scene.pass(1000)
    expect(scene.prober.conclusion.ready).toBe(false)
    await scene.end()
  })

  it('waits out the initial delay', async () => {
    const scene = new Scene({ readinessProbe: { exec, initialDelaySeconds: 5, periodSeconds: 2 } })
    expect(await scene.pass(8000)).toEqual([5000, 7000])
    await scene.end()
  })

  it('gives a liveness probe a period before the first failure, then asks for the end and stops', async () => {
    const scene = new Scene({ livenessProbe: { exec, periodSeconds: 10, failureThreshold: 2 } })
    expect(await scene.pass(60_000)).toEqual([10_000, 20_000])
    expect(scene.conclusions).toEqual([{ started: true, ready: true, kill: 'liveness' }])
    await scene.end()
  })

  it('holds the other probes back until the startup probe has succeeded', async () => {
    const scene = new Scene({
      startupProbe: { exec, periodSeconds: 1, failureThreshold: 30 },
      readinessProbe: { exec, periodSeconds: 5 },
    })
    await scene.pass(3500)
    expect(scene.prober.conclusion).toMatchObject({ started: false, ready: false })
    scene.exitCode = 0
    expect(await scene.pass(500)).toEqual([4000, 4000])
    expect(scene.prober.conclusion).toMatchObject({ started: true, ready: true })
    await scene.end()
  })

  it('asks for the end when the startup probe has failed often enough, and probes nothing more', async () => {
    const scene = new Scene({
      startupProbe: { exec, periodSeconds: 1, failureThreshold: 2 },
      readinessProbe: { exec },
    })
    await scene.pass(2000)
    expect(scene.prober.conclusion.kill).toBe('startup')
    await scene.done
  })

  it('does not take readiness back because we were restarted, and spreads its first probes', async () => {
    const scene = new Scene(
      { readinessProbe: { exec, periodSeconds: 10, failureThreshold: 1 } },
      { adopted: { started: true, ready: true }, startedAtMs: 0 },
    )
    expect(scene.prober.conclusion.ready).toBe(true)
    expect(await scene.pass(9000)).toEqual([5000])
    expect(scene.prober.conclusion.ready).toBe(false)
    await scene.end()
  })

  it('goes on with readiness but not with liveness while the Pod is being ended', async () => {
    const scene = new Scene({
      livenessProbe: { exec, periodSeconds: 1, failureThreshold: 1 },
      readinessProbe: { exec, periodSeconds: 1, failureThreshold: 1 },
    })
    scene.exitCode = 0
    await scene.pass(500)
    scene.stopping = true
    scene.exitCode = 1
    await scene.pass(3000)
    expect(scene.prober.conclusion).toEqual({ started: true, ready: false, kill: undefined })
    await scene.end()
  })
})

describe('a gRPC probe', () => {
  const grpcServers: GrpcServer[] = []
  const loaded = loadPackageDefinition(
    loadSync(new URL('../../../../proto/grpc-health.proto', import.meta.url).pathname, { enums: String }),
  ) as unknown as { grpc: { health: { v1: { Health: { service: ServiceDefinition } } } } }

  afterEach(() => {
    for (const server of grpcServers.splice(0)) server.forceShutdown()
  })

  async function serveHealth(statuses: Readonly<Record<string, string>> | undefined): Promise<number> {
    const server = new GrpcServer()
    grpcServers.push(server)
    if (statuses) {
      server.addService(loaded.grpc.health.v1.Health.service, {
        Check: (
          call: { request: { service: string } },
          answer: (error: object | null, value?: object) => void,
        ) => {
          const found = statuses[call.request.service]
          if (found) answer(null, { status: found })
          else if (call.request.service !== 'silent')
            answer({ code: status.NOT_FOUND, details: 'unknown service' })
        },
      })
    }
    return await new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      )
    })
  }

  it('succeeds when the service, or else the server as a whole, is SERVING', async () => {
    const port = await serveHealth({ '': 'SERVING', web: 'NOT_SERVING' })
    expect(await probeOnce({ grpc: { port } })).toEqual({ result: 'success' })
    expect(await probeOnce({ grpc: { port, service: 'web' } })).toEqual({
      result: 'failure',
      output: 'service unhealthy (responded with "NOT_SERVING")',
    })
    expect(await probeOnce({ grpc: { port, service: 'other' } })).toEqual({
      result: 'failure',
      output: 'error: health rpc probe failed: rpc error: code = NotFound desc = unknown service',
    })
  })

  it('fails when the answer does not come in time', async () => {
    const port = await serveHealth({})
    expect(await probeOnce({ grpc: { port, service: 'silent' }, timeoutSeconds: 1 })).toEqual({
      result: 'failure',
      output: 'timeout: health rpc did not complete within 1s',
    })
  })

  it('fails when the server does not know the protocol, or is not there', async () => {
    const port = await serveHealth(undefined)
    const unknown = await probeOnce({ grpc: { port } })
    expect(unknown).toMatchObject({ result: 'failure' })
    expect(JSON.stringify(unknown)).toContain('this server does not implement the grpc health protocol')
    const free = await freePort()
    expect(await probeOnce({ grpc: { port: free }, timeoutSeconds: 1 })).toEqual({
      result: 'failure',
      output: `timeout: failed to connect service "127.0.0.1:${free}" within 1s: context deadline exceeded`,
    })
  })
})
