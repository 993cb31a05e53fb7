import 'reflect-metadata'
import { Agent, request as httpsRequest } from 'node:https'
import { webcrypto } from 'node:crypto'
import type { Readable } from 'node:stream'
import { BasicConstraintsExtension, X509CertificateGenerator } from '@peculiar/x509'
import type { Backend, CommandResult, ExecOptions, LogOptions } from '../../src/backends/backend.ts'
import { reviewAuthenticator, reviewAuthorizer } from '../../src/kubelet-api/auth.ts'
import { createStrangerLimits, type StrangerLimits } from '../../src/kubelet-api/stranger-limits.ts'
import { startNodeApi, type NodeApiOptions } from '../../src/kubelet-api/node-api.ts'
import { selfSignedCertificate } from '../../src/kubelet-api/self-signed.ts'
import { ChangingCertificate } from '../../src/kubelet-api/serving-certificate.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type { PemPair } from '../../src/model/pem-pair.ts'
import type { BackendUsage, UsageOptions } from '../../src/model/pod-usage.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from './fake-clock.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A client CA, and a certificate of it for the API server. */
export async function clientIdentity(): Promise<{ client: PemPair; clientCa: string }> {
  const make = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const [caKeys, keys] = [await make(), await make()]
  const validity = {
    notBefore: new Date('2026-01-01'),
    notAfter: new Date('2056-01-01'),
    signingAlgorithm: algorithm,
  }
  const ca = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=client-ca',
    extensions: [new BasicConstraintsExtension(true)],
    keys: caKeys,
    ...validity,
  })
  const certificate = await X509CertificateGenerator.create({
    subject: 'O=system:masters, CN=kube-apiserver',
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    ...validity,
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const key = `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`
  return { client: { cert: certificate.toString('pem'), key }, clientCa: ca.toString('pem') }
}

/** The one Pod of the node. */
export const podOfBench: Pod = {
  metadata: { uid: 'u-1', namespace: 'shop', name: 'web' },
  spec: { containers: [{ name: 'app', image: 'x', tty: true }] },
  status: {
    containerStatuses: [
      { name: 'app', image: 'x', imageID: '', ready: true, restartCount: 0, state: { running: {} } },
    ],
  },
}

interface Review {
  readonly kind: string
  readonly spec: Record<string, unknown>
}

/** Reviews as an API server answers them: a token of `good` is alice, who may do what `allowed` lists. */
export class Reviews {
  readonly asked: Review[] = []
  readonly good = new Set(['good'])
  allowed = new Set(['proxy'])
  down = false

  readonly api = {
    create: async (_resource: unknown, review: Review): Promise<unknown> => {
      this.asked.push(review)
      if (this.down) throw new SpillwayError('Unavailable', 'API server down')
      if (review.kind === 'TokenReview') {
        const authenticated = this.good.has(String(review.spec['token']))
        return { status: { authenticated, user: { username: 'alice', groups: ['dev'] } } }
      }
      const { subresource } = review.spec['resourceAttributes'] as { subresource: string }
      return { status: { allowed: this.allowed.has(subresource) } }
    },
  } as unknown as KubeApi
}

/** The calls that the node API makes, answered by what a test puts here. */
export class ScriptedBackend {
  readonly calls: unknown[] = []
  log: () => Readable = () => {
    throw new SpillwayError('NotFound', 'no log')
  }
  /** Where exec leads to; empty: nowhere. */
  target = ''
  result: CommandResult = { stdout: Buffer.from('out\n'), stderr: Buffer.from('err\n'), exitCode: 0 }
  used: () => BackendUsage = () => ({ pods: [] })

  readonly backend = {
    logs: async (uid: string, container: string, options: LogOptions) => {
      this.calls.push({ uid, container, options })
      return this.log()
    },
    exec: async (uid: string, container: string, options: ExecOptions) => {
      this.calls.push({ uid, container, options })
      if (this.target === '') throw new SpillwayError('NotFound', 'no such running container')
      return { url: this.target, headers: { 'X-Extra': 'yes' } }
    },
    run: async (uid: string, container: string, command: readonly string[]) => {
      this.calls.push({ uid, container, command })
      return this.result
    },
    usage: async (options: UsageOptions) => {
      this.calls.push({ usage: options })
      return this.used()
    },
    list: async () => [],
  } as unknown as Backend
}

export interface NodeApiAnswer {
  readonly status: number
  readonly body: string
  readonly headers: NodeJS.Dict<string | string[]>
}

export interface NodeApiBench extends AsyncDisposable {
  readonly reviews: Reviews
  readonly backend: ScriptedBackend
  readonly certificate: ChangingCertificate
  readonly clock: FakeClock
  readonly door: StrangerLimits
  readonly port: number
  /** What the listener began with. */
  readonly serving: PemPair
  readonly client: PemPair
  /** What `/healthz/syncloop` says. */
  syncProblem: string | undefined
  ask(path: string, options?: { token?: string; identity?: PemPair; method?: string }): Promise<NodeApiAnswer>
  stop(): void
}

/** What the node API of `burst-0` needs that is of no matter to a test, over scripts in place of everything. */
export function nodeApiOptions(
  more: Partial<NodeApiOptions> & Pick<NodeApiOptions, 'certificate' | 'clock'>,
): NodeApiOptions {
  const { clock } = more
  const { connections, reviews: budget } = createStrangerLimits({ clock })
  const review = { api: new Reviews().api, clock }
  return {
    nodeName: 'burst-0',
    listen: { address: '127.0.0.1', port: 0 },
    authenticator: reviewAuthenticator({ ...review, budget }),
    authorizer: reviewAuthorizer(review),
    connections,
    backend: new ScriptedBackend().backend,
    pods: {
      find: (namespace, name) => (namespace === 'shop' && name === 'web' ? podOfBench : undefined),
      list: () => [podOfBench],
    },
    size: () => ({ cpuMillis: 4_000n, memoryBytes: 8_000n, ephemeralStorageBytes: 16_000n }),
    settings: () => ({
      address: '127.0.0.1',
      port: 10_260,
      clientCaFile: '/etc/ca.crt',
      clusterDns: ['10.96.0.10'],
      clusterDomain: 'cluster.local',
      maxPods: 110,
      serverTlsBootstrap: true,
      rotateCertificates: false,
    }),
    syncLoop: () => undefined,
    log: silentLog(),
    ...more,
  }
}

export type NodeApiBenchOptions = Partial<NodeApiOptions> & {
  readonly door?: (clock: FakeClock) => StrangerLimits
}

/** The node API of `burst-0` on loopback, over a scripted backend and scripted reviews. */
export async function openNodeApi({ door, ...more }: NodeApiBenchOptions = {}): Promise<NodeApiBench> {
  const nowMs = new Date('2026-01-01').getTime()
  const identity = { nodeName: 'burst-0', addresses: ['127.0.0.1'] }
  const serving = await selfSignedCertificate({ ...identity, nowMs, lifeMs: 1e12 })
  const { client, clientCa } = await clientIdentity()
  const [reviews, backend, stop] = [new Reviews(), new ScriptedBackend(), new AbortController()]
  const certificate = new ChangingCertificate(serving)
  const clock = new FakeClock()
  const opened = door?.(clock) ?? createStrangerLimits({ clock })
  const review = { api: reviews.api, clock }
  const bench = { syncProblem: undefined as string | undefined }
  const { port } = await startNodeApi(
    nodeApiOptions({
      certificate,
      clientCa,
      authenticator: reviewAuthenticator({ ...review, budget: opened.reviews }),
      authorizer: reviewAuthorizer(review),
      connections: opened.connections,
      backend: backend.backend,
      syncLoop: () => bench.syncProblem,
      clock,
      ...more,
    }),
    stop.signal,
  )
  const ask: NodeApiBench['ask'] = (path, { token, identity, method = 'GET' } = {}) =>
    new Promise((resolve, reject) => {
      const headers = token ? { authorization: `Bearer ${token}` } : {}
      const agent = new Agent({ keepAlive: false, ca: serving.cert, ...identity })
      const outgoing = httpsRequest({ host: '127.0.0.1', port, path, method, headers, agent }, (answer) => {
        answer
          .toArray()
          .then(
            (chunks) =>
              resolve({ status: answer.statusCode ?? 0, body: chunks.join(''), headers: answer.headers }),
            reject,
          )
      })
      outgoing.on('error', reject)
      outgoing.end()
    })
  return Object.assign(bench, {
    reviews,
    backend,
    certificate,
    clock,
    door: opened,
    port,
    serving,
    client,
    ask,
    stop: () => stop.abort(),
    [Symbol.asyncDispose]: async () => stop.abort(),
  })
}
