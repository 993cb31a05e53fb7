import 'reflect-metadata'
import { status } from '@grpc/grpc-js'
import * as x509 from '@peculiar/x509'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PodHappening } from '../../../../src/backends/backend.ts'
import { runHook, type HookHandler, type HookInput } from '../../../../src/backends/cri/hooks/run-hook.ts'
import { criError } from '../../../../src/backends/cri/runtime/errors.ts'
import type { ExecInContainer } from '../../../../src/backends/cri/runtime/exec-in-container.ts'
import { podRef } from '../../../../src/model/pod-key.ts'
import { aPod } from '../../../support/builders.ts'
import { FakeClock, settled } from '../../../support/fake-clock.ts'
import { startHttpServer, type TestServer } from '../../../support/http-server.ts'

const never = new AbortController().signal
const stopping = new Error('the Pod is being stopped')
const where = 'for Container "main" in Pod "web_default(uid-of-web)"'
const noExec: ExecInContainer = () => Promise.reject(new Error('no exec here'))
const servers: TestServer[] = []
let clock: FakeClock
let told: PodHappening[]

beforeEach(() => {
  clock = new FakeClock()
  told = []
})

afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
})

function run(handler: HookHandler, more: Partial<HookInput> = {}, signal = never): Promise<void> {
  const input: HookInput = {
    handler,
    pod: podRef(aPod()),
    container: { name: 'main' },
    podIp: '127.0.0.1',
    exec: noExec,
    clock,
    tell: (happening) => void told.push(happening),
    beganAtMs: clock.wallMs(),
    ...more,
  }
  return runHook(input, signal)
}

async function serve(statusCode: number, tls?: Parameters<typeof startHttpServer>[1]): Promise<TestServer> {
  const server = await startHttpServer((_request, response) => {
    response.writeHead(statusCode)
    response.end('secret of the server')
  }, tls)
  servers.push(server)
  return server
}

describe('a hook that runs a command', () => {
  const handler = { exec: { command: ['sh', '-c', 'drain $(NAME)'] } }

  it('is done when that exits with 0, however long it takes, and is given no expanded variables', async () => {
    let request: Parameters<ExecInContainer>[0] | undefined
    const exec: ExecInContainer = async (asked) => {
      request = asked
      return { exitCode: 0, output: 'drained' }
    }
    await run(handler, { exec })
    expect(request).toEqual({ command: ['sh', '-c', 'drain $(NAME)'], timeoutMs: Infinity })
  })

  it('fails with kubelet’s sentence when it exits with anything else', async () => {
    const exec: ExecInContainer = async () => ({ exitCode: 3, output: 'still "busy"\n' })
    await expect(run(handler, { exec })).rejects.toThrow(
      `Exec lifecycle hook ([sh -c drain $(NAME)]) ${where} failed - error: command 'sh -c drain $(NAME)' exited with 3: still "busy"\n, message: "still \\"busy\\"\\n"`,
    )
  })

  it('fails when it cannot be run at all', async () => {
    await expect(run(handler)).rejects.toThrow(
      `Exec lifecycle hook ([sh -c drain $(NAME)]) ${where} failed - error: no exec here, message: ""`,
    )
  })

  it('has not failed when the runtime went away in the middle', async () => {
    const gone = criError('ExecSync', Object.assign(new Error('gone'), { code: status.UNAVAILABLE }))
    await expect(run(handler, { exec: () => Promise.reject(gone) })).rejects.toBe(gone)
  })

  it('has not failed when it was broken off', async () => {
    const stop = new AbortController()
    const exec: ExecInContainer = async () => {
      stop.abort(stopping)
      throw new Error('cancelled')
    }
    await expect(run(handler, { exec }, stop.signal)).rejects.toBe(stopping)
  })
})

describe('a hook that asks a server', () => {
  it.each([200, 404, 500])('is done with any answer: %s', async (statusCode) => {
    const { port, seen } = await serve(statusCode)
    await run({ httpGet: { port, path: '/drain?now' } })
    expect(seen).toMatchObject([{ url: '/drain?now', headers: { 'user-agent': 'kube-lifecycle/1.37' } }])
  })

  it('is done when the server goes away in the middle of its answer', async () => {
    const server = await startHttpServer((_request, response) => {
      response.writeHead(200, { 'Content-Length': 9 })
      response.write('bye', () => response.destroy())
    })
    servers.push(server)
    await run({ httpGet: { port: server.port } })
  })

  it('asks the Pod unless it names a host, at a port that it may name', async () => {
    const { port, seen } = await serve(200)
    const container = { name: 'main', ports: [{ name: 'admin', containerPort: port }] }
    await run({ httpGet: { port: 'admin' } }, { container })
    await run({ httpGet: { port, host: 'localhost' } })
    expect(seen.map(({ headers }) => headers.host)).toEqual([`127.0.0.1:${port}`, `localhost:${port}`])
  })

  it.each([
    [
      'nobody listens',
      { podIp: '127.0.0.1' },
      'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
    ],
    ['the Pod has no address', { podIp: '' }, 'failed to find networking container: the Pod has no address'],
  ])('fails with kubelet’s sentence when %s', async (_, more, sentence) => {
    await expect(run({ httpGet: { port: 1, path: '/x' } }, more)).rejects.toThrow(
      `HTTP lifecycle hook (/x) ${where} failed - error: ${sentence}`,
    )
  })

  it('fails when the container has no port of that name', async () => {
    await expect(run({ httpGet: { port: 'admin' } })).rejects.toThrow('port "admin" not found')
  })

  it('has not failed when it was broken off', async () => {
    const stop = new AbortController()
    const server = await startHttpServer(() => stop.abort(stopping))
    servers.push(server)
    await expect(run({ httpGet: { port: server.port } }, {}, stop.signal)).rejects.toBe(stopping)
  })

  it('trusts whatever certificate the Pod has', async () => {
    const { port, seen } = await serve(200, await selfSigned())
    await run({ httpGet: { port, scheme: 'HTTPS' } })
    expect(seen).toHaveLength(1)
    expect(told).toEqual([])
  })

  it('asks again without TLS where a server from before knows none, without what may be secret, and tells so', async () => {
    const { port, seen } = await serve(200)
    const httpHeaders = [
      { name: 'AUTHORIZATION', value: 'Bearer token' },
      { name: 'X-Reason', value: 'drain' },
    ]
    await run({ httpGet: { port, scheme: 'HTTPS', httpHeaders } })
    expect(seen).toHaveLength(1)
    expect(seen[0]?.headers).toMatchObject({ 'x-reason': 'drain' })
    expect(seen[0]?.headers).not.toHaveProperty('authorization')
    expect(told).toEqual([
      {
        type: 'Warning',
        reason: 'LifecycleHTTPFallback',
        message: `request to HTTPS lifecycle hook 127.0.0.1:${port} got HTTP response, retry with HTTP succeeded`,
      },
    ])
  })

  it('is not asked again without TLS because nobody listens', async () => {
    await expect(run({ httpGet: { port: 1, scheme: 'HTTPS' } })).rejects.toThrow(
      'Get "https://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused',
    )
    expect(told).toEqual([])
  })
})

describe('a hook that sleeps', () => {
  const handler = { sleep: { seconds: 20 } }

  it('is done when that is over', async () => {
    let isOver = false
    const over = run(handler).then(() => (isOver = true))
    await clock.advance(19_999)
    expect(isOver).toBe(false)
    await clock.advance(1)
    await over
  })

  it('goes on from when it began, as after a crash, and is over at once when its time has passed', async () => {
    const over = run(handler, { beganAtMs: clock.wallMs() - 15_000 })
    expect(clock.nextDueInMs).toBe(5000)
    await clock.advance(5000)
    await over
    const late = run(handler, { beganAtMs: clock.wallMs() - 3_600_000 })
    await clock.advance(0)
    await late
  })

  it('ends with the signal', async () => {
    const stop = new AbortController()
    const over = run(handler, {}, stop.signal)
    stop.abort(stopping)
    await expect(over).rejects.toBe(stopping)
    await settled()
    expect(clock.pending).toBe(0)
  })
})

describe('a hook that nobody carries out', () => {
  it.each([
    [{ tcpSocket: { port: 80 } }, 'tcpSocket'],
    [{}, 'none'],
  ])('%j is an error, as with kubelet', async (handler, named) => {
    await expect(run(handler)).rejects.toThrow(`Cannot run handler: invalid handler: ${named}`)
  })
})

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({ name: 'CN=other', keys })
  const key = await crypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(key, 'PRIVATE KEY') }
}
