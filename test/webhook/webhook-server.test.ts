import { request as httpsRequest } from 'node:https'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/model/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { makeGeneration } from '../../src/webhook/generation.ts'
import { WebhookServer } from '../../src/webhook/webhook-server.ts'

const address = '127.0.0.1'
let server: WebhookServer
let port: number
let ca: string

beforeAll(async () => {
  const { pair, authority } = await makeGeneration(address, systemClock.wallMs())
  ca = authority
  const mutations = new Map([
    ['/placement', () => []],
    [
      '/broken',
      () => {
        throw new Error('it is broken')
      },
    ],
  ])
  server = new WebhookServer({ listen: { address, port: 0 }, pair, mutations, log: silentLog() })
  port = (await server.listen()).port
})
afterAll(async () => {
  await server.close()
})

const review = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'u-1', object: {} },
})

async function ask(path: string, body: string, method = 'POST'): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
  const request = httpsRequest({ host: address, port, path, method, ca, agent: false }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
  })
  request.on('error', reject)
  request.end(body)
  return promise
}

describe('the server of the webhooks', () => {
  it('answers a review at its path, whatever the API server adds to that', async () => {
    const { status, text } = await ask('/placement?timeout=2s', review)
    expect([status, JSON.parse(text)]).toMatchObject([200, { response: { uid: 'u-1', allowed: true } }])
  })

  it('says what is wrong with a question', async () => {
    expect(await ask('/placement', '{}')).toMatchObject({ status: 400 })
    expect(await ask('/elsewhere', review)).toMatchObject({ status: 404 })
    expect(await ask('/placement', '', 'GET')).toMatchObject({ status: 405 })
    expect(await ask('/broken', review)).toEqual({ status: 500, text: 'it is broken\n' })
  })

  it('hears nobody out who goes on and on, and answers others afterwards', async () => {
    // The answer may be lost with the connection, which is broken off in the middle of the question.
    const broken = { status: 400 }
    expect(await ask('/placement', 'x'.repeat(9 << 20)).catch(() => broken)).toMatchObject(broken)
    expect(await ask('/placement', review)).toMatchObject({ status: 200 })
  })

  it('serves new connections with a new certificate', async () => {
    const { pair, authority } = await makeGeneration(address, systemClock.wallMs())
    server.setPair(pair)
    await expect(ask('/placement', review)).rejects.toThrow()
    ca = authority
    expect(await ask('/placement', review)).toMatchObject({ status: 200 })
  })

  it('names its address when that is taken', async () => {
    const { pair } = await makeGeneration(address, systemClock.wallMs())
    const other = new WebhookServer({
      listen: { address, port },
      pair,
      mutations: new Map(),
      log: silentLog(),
    })
    await expect(other.listen()).rejects.toThrow(`admission webhook cannot listen on ${address}:${port}`)
  })
})
