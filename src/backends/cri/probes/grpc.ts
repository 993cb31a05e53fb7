import { fileURLToPath } from 'node:url'
import {
  credentials,
  loadPackageDefinition,
  status,
  type ChannelCredentials,
  type Client,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { formatDelay } from '../../../lifecycle/restart-backoff.ts'
import type { Clock } from '../../../model/clock.ts'
import { goSentence } from '../runtime/errors.ts'
import { joinHostPort, type ProbeOutcome } from './probe-outcome.ts'

const protoFile = fileURLToPath(new URL('../../../../proto/grpc-health.proto', import.meta.url))

export interface GrpcProbe {
  readonly host: string
  readonly port: number
  /** As its server names it; empty: the server as a whole. */
  readonly service: string
  /** Whoever answers is believed. */
  readonly tls: boolean
  readonly timeoutMs: number
  readonly clock: Clock
}

interface HealthClient extends Client {
  Check(
    request: { readonly service: string },
    options: { readonly deadline: number },
    callback: (error: ServiceError | null, answer?: { readonly status: string }) => void,
  ): { cancel(): void }
}

type HealthClientClass = new (address: string, creds: ChannelCredentials, options: object) => HealthClient

/** Success: the server says SERVING. Every failure is one of the application (pkg/probe/grpc/grpc.go). */
export async function grpcProbe(probe: GrpcProbe, signal: AbortSignal): Promise<ProbeOutcome> {
  const { host, port, service, tls, timeoutMs, clock } = probe
  const address = joinHostPort(host, port)
  const deadline = clock.wallMs() + timeoutMs
  const client = openClient(address, tls)
  const cancel = (): void => client.close()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    const connected = await new Promise<boolean>((resolve) => {
      client.waitForReady(deadline, (error) => resolve(!error))
    })
    // Kubelet, too, waits out a refused connection: the server may only be starting.
    if (!connected) {
      const within = formatDelay(timeoutMs)
      return failure(
        `timeout: failed to connect service "${address}" within ${within}: context deadline exceeded`,
      )
    }
    return await check(client, { service, deadline, timeoutMs })
  } finally {
    signal.removeEventListener('abort', cancel)
    client.close()
  }
}

function openClient(address: string, tls: boolean): HealthClient {
  const loaded = loadPackageDefinition(loadSync(protoFile, { enums: String, defaults: true })) as unknown as {
    grpc: { health: { v1: { Health: HealthClientClass } } }
  }
  const creds = tls
    ? credentials.createSsl(null, null, null, {
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      })
    : credentials.createInsecure()
  return new loaded.grpc.health.v1.Health(address, creds, {
    'grpc.primary_user_agent': 'kube-probe/1.37',
    // Within the time-out of one probe, not after minutes of back-off; and no proxy on the way to a Pod.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
  })
}

function check(
  client: HealthClient,
  options: { readonly service: string; readonly deadline: number; readonly timeoutMs: number },
): Promise<ProbeOutcome> {
  const { service, deadline, timeoutMs } = options
  return new Promise((resolve) => {
    client.Check({ service }, { deadline }, (error, answer) => {
      if (error) return resolve(failure(sentenceOf(error, timeoutMs)))
      if (answer?.status === 'SERVING') return resolve({ result: 'success' })
      resolve(failure(`service unhealthy (responded with "${answer?.status}")`))
    })
  })
}

function sentenceOf({ code, details }: ServiceError, timeoutMs: number): string {
  if (code === status.UNIMPLEMENTED) {
    return `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${details}`
  }
  if (code === status.DEADLINE_EXCEEDED) {
    return `timeout: health rpc did not complete within ${formatDelay(timeoutMs)}`
  }
  return `error: health rpc probe failed: ${goSentence(code, details)}`
}

function failure(output: string): ProbeOutcome {
  return { result: 'failure', output }
}
