/** The node API in a process of its own, so that its memory and its event loop are nobody else's. Talks by IPC. */
import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { reviewAuthenticator, reviewAuthorizer } from '../../src/kubelet-api/auth.ts'
import { startNodeApi } from '../../src/kubelet-api/node-api.ts'
import { createStrangerLimits } from '../../src/kubelet-api/stranger-limits.ts'
import { selfSignedCertificate } from '../../src/kubelet-api/self-signed.ts'
import { ChangingCertificate } from '../../src/kubelet-api/serving-certificate.ts'
import { systemClock } from '../../src/model/clock.ts'
import { clientIdentity, nodeApiOptions, Reviews } from './node-api.ts'
import type { PemPair } from '../../src/model/pem-pair.ts'

export interface ChildStart {
  readonly port: number
  readonly ca: string
  readonly client: PemPair
}

export interface ChildFigures {
  /** Heap, and buffers outside of it; after a collection of garbage when one was asked for. */
  readonly memoryBytes: number
  readonly longestStallMs: number
  readonly tokenReviews: number
  readonly openFiles: number
  readonly connections: { readonly unknown: number; readonly known: number }
}

const clock = systemClock
const serving = await selfSignedCertificate({
  nodeName: 'burst-0',
  addresses: ['127.0.0.1'],
  nowMs: clock.wallMs(),
  lifeMs: 1e12,
})
const { client, clientCa } = await clientIdentity()
const reviews = new Reviews()
const review = { api: reviews.api, clock }
const door = createStrangerLimits({ clock })
const { port } = await startNodeApi(
  nodeApiOptions({
    certificate: new ChangingCertificate(serving),
    clientCa,
    clock,
    authenticator: reviewAuthenticator({ ...review, budget: door.reviews }),
    authorizer: reviewAuthorizer(review),
    connections: door.connections,
  }),
  new AbortController().signal,
)
const delays = monitorEventLoopDelay({ resolution: 5 })
delays.enable()

async function figures(collect: boolean): Promise<ChildFigures> {
  const longestStallMs = delays.max / 1e6
  // Closed sockets leave the heap by way of finalizers, which run after a collection.
  for (let round = 0; round < (collect ? 5 : 0); round += 1) {
    globalThis.gc?.()
    await clock.sleep(20, new AbortController().signal)
  }
  if (collect) delays.reset()
  const { heapUsed, external } = process.memoryUsage()
  return {
    memoryBytes: heapUsed + external,
    longestStallMs,
    tokenReviews: reviews.asked.filter(({ kind }) => kind === 'TokenReview').length,
    openFiles: readdirSync('/proc/self/fd').length,
    connections: door.connections.counts,
  }
}

process.on('message', (question) => void figures(question === 'collect').then((told) => process.send?.(told)))
process.on('disconnect', () => process.exit(0))
process.send?.({ port, ca: serving.cert, client } satisfies ChildStart)
