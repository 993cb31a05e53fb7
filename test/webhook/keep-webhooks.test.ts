import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KubeApi } from '../../src/kube/api.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { keepWebhooks } from '../../src/webhook/keep-webhooks.ts'
import type { WebhookConfiguration, WebhookPurpose } from '../../src/webhook/webhook-configuration.ts'
import { FakeClock } from '../support/fake-clock.ts'

const address = '127.0.0.1'
const entries = [
  'placement.shop.spillway.dev',
  'placement-of-namespace.shop.spillway.dev',
  'placement-of-words.shop.spillway.dev',
  'placement-of-foreign-namespace.shop.spillway.dev',
  'daemonsets.shop.spillway.dev',
]
let folder: string
let clock: FakeClock
let ending: AbortController
let running: Promise<void>
let port: number
let stored: WebhookConfiguration | undefined
let purposes: Set<WebhookPurpose>
let failWith: SpillwayError | undefined
let mayWrite: boolean

/** One configuration, as the API server keeps it. */
const api = {
  get: () =>
    failWith
      ? Promise.reject(failWith)
      : stored
        ? Promise.resolve(stored)
        : Promise.reject(new SpillwayError('NotFound', 'it is not there')),
  patch: (_resource: unknown, _name: unknown, { body }: { body: unknown }) => {
    if (!mayWrite) return Promise.reject(new SpillwayError('Forbidden', 'may not patch'))
    const { metadata, webhooks } = body as WebhookConfiguration
    if (metadata?.resourceVersion !== stored?.metadata?.resourceVersion) {
      return Promise.reject(new SpillwayError('Conflict', 'it has changed'))
    }
    stored = {
      metadata: { resourceVersion: `${Number(metadata?.resourceVersion) + 1}` },
      webhooks: webhooks ?? [],
    }
    return Promise.resolve(stored)
  },
} as unknown as Pick<KubeApi, 'get' | 'patch'>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-webhook-'))
  const [free = 0] = await findFreePorts(1)
  port = free
  clock = new FakeClock()
  ending = new AbortController()
  stored = { metadata: { resourceVersion: '1' } }
  purposes = new Set(['placement', 'daemonsets'])
  failWith = undefined
  mayWrite = true
})
afterEach(async () => {
  ending.abort()
  await running
  await rm(folder, { recursive: true })
})

function start(): void {
  const options = { api, instance: 'shop', listen: { address, port }, folder, mutations: new Map(), clock }
  running = keepWebhooks(
    { ...options, purposes: () => Promise.resolve(purposes), random: () => 0.5, log: silentLog() },
    ending.signal,
  )
}

/** Once more, to its end. */
async function looked(): Promise<void> {
  await clock.whenPending(1)
}
async function lookAgain(): Promise<void> {
  await clock.advanceToNext()
  await looked()
}

function names(): readonly string[] | undefined {
  return stored?.webhooks?.map(({ name }) => name)
}

async function isTaken(): Promise<boolean> {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<boolean>()
  server
    .once('error', () => resolve(true))
    .listen({ host: address, port }, () => server.close(() => resolve(false)))
  return promise
}

describe('the webhooks', () => {
  it('stand where people have made room for them, and are served', async () => {
    start()
    await looked()
    expect(names()).toEqual(entries)
    expect(stored?.webhooks?.[0]?.clientConfig?.url).toBe(`https://127.0.0.1:${port}/placement`)
    expect(await isTaken()).toBe(true)
  })

  it('are nowhere without that, until it comes', async () => {
    stored = undefined
    start()
    await looked()
    expect([stored, await isTaken()]).toEqual([undefined, false])
    stored = { metadata: { resourceVersion: '5' } }
    await lookAgain()
    expect(names()).toEqual(entries)
  })

  it('go when policies take their place', async () => {
    start()
    await looked()
    purposes = new Set(['daemonsets'])
    await lookAgain()
    expect(names()).toEqual(['daemonsets.shop.spillway.dev'])
    purposes = new Set()
    await lookAgain()
    expect([names(), await isTaken()]).toEqual([[], false])
  })

  it('come back when somebody has taken them away, and when the API server answers again', async () => {
    start()
    await looked()
    stored = { metadata: { resourceVersion: '9' }, webhooks: [] }
    failWith = new SpillwayError('Unavailable', 'no connection')
    await lookAgain()
    expect(names()).toEqual([])
    failWith = undefined
    await lookAgain()
    expect(names()).toEqual(entries)
  })

  it('are written once we may: a right that is missing ends nothing', async () => {
    mayWrite = false
    start()
    await looked()
    await lookAgain()
    expect(names()).toBeUndefined()
    mayWrite = true
    await lookAgain()
    expect(names()).toEqual(entries)
  })

  it('are nowhere, and nothing is served, where we may not even look', async () => {
    failWith = new SpillwayError('Forbidden', 'may not get')
    start()
    await looked()
    expect([names(), await isTaken()]).toEqual([undefined, false])
  })

  it('are not asked for where nobody can listen, so that no Pod waits', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => {
      holder.listen({ host: address, port }, resolve)
    })
    stored = { metadata: { resourceVersion: '1' }, webhooks: [{ name: entries[0] ?? '' }] }
    start()
    await looked()
    expect(names()).toEqual([])
    await new Promise((resolve) => {
      holder.close(resolve)
    })
    await lookAgain()
    expect(names()).toEqual(entries)
  })

  it('know the next authority for months before it is served with', async () => {
    start()
    await looked()
    const bundle = (): string =>
      Buffer.from(stored?.webhooks?.[0]?.clientConfig?.caBundle ?? '', 'base64').toString()
    const first = bundle()
    clock.stepWall(200 * 24 * 3_600_000)
    await lookAgain()
    expect(bundle()).toMatch(first)
    expect(bundle().length).toBeGreaterThan(first.length)
  })
})
