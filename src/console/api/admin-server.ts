import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { fastify, type FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { errorMessage, SpillwayError } from '../../model/errors.ts'
import type { Log } from '../../telemetry/log.ts'
import {
  billQuery,
  billQuestionSchema,
  focusQuery,
  focusQuestionSchema,
  type BillQuestion,
  type FocusQuestion,
} from './bill-question.ts'
import type { AdjustQuestion, AdminReadModel, ExplainQuery, SealQuestion } from './contract.ts'
import { adjustQuestionSchema, sealQuestionSchema } from './ledger-questions.ts'

export interface AdminServerOptions {
  /** Unix socket; only its owner may connect. Under 100 characters, the kernel's limit. */
  readonly socket: string
  readonly model: AdminReadModel
  readonly log: Log
}

const objectSchema = Type.Object({}, { additionalProperties: true })
const explainQuerySchema = Type.Object(
  {
    pool: Type.Optional(Type.String()),
    namespace: Type.Optional(Type.String()),
    name: Type.Optional(Type.String()),
    pod: Type.Optional(
      Type.Object(
        {
          metadata: objectSchema,
          spec: Type.Object({ containers: Type.Array(objectSchema, { minItems: 1 }) }),
        },
        { additionalProperties: true },
      ),
    ),
  },
  { additionalProperties: false, anyOf: [{ required: ['pod'] }, { required: ['namespace', 'name'] }] },
)

/** Serves `spillway status` and `spillway bill` until closed. Rejects with Environment when the socket is in use. */
export async function startAdminServer(options: AdminServerOptions): Promise<{ close(): Promise<void> }> {
  const server = adminRoutes(options)
  mkdirSync(dirname(options.socket), { recursive: true, mode: 0o700 })
  // Left behind by a killed process; one that answers is found by the ledger's lock before we come here.
  rmSync(options.socket, { force: true })
  try {
    await server.listen({ path: options.socket })
  } catch (error) {
    throw new SpillwayError('Environment', `${options.socket}: cannot listen: ${errorMessage(error)}`, {
      cause: error,
    })
  }
  chmodSync(options.socket, 0o600)
  return { close: () => server.close() }
}

/** The routes alone, for tests that need no socket. */
export function adminRoutes({ model, log }: Omit<AdminServerOptions, 'socket'>): FastifyInstance {
  const server = fastify({ logger: false, forceCloseConnections: true })
  server.setErrorHandler((error: Error & { validation?: unknown }, _request, reply) => {
    const code = error instanceof SpillwayError ? error.code : error.validation ? 'Usage' : 'Unavailable'
    if (code === 'Unavailable') log.error({ error: error.message }, 'admin request failed')
    void reply
      .code(error.validation ? 400 : code === 'NotFound' ? 404 : 500)
      .send({ code, message: error.message })
  })
  server.setSerializerCompiler(() => (value) => JSON.stringify(value, bigintAsText))
  server.get('/healthz', () => 'ok')
  server.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4').send(await model.metrics()),
  )
  server.get('/v1/status', async (request, reply) => sendJson(reply, await model.status(request.signal)))
  server.get<{ Querystring: BillQuestion }>(
    '/v1/bill',
    { schema: { querystring: billQuestionSchema } },
    async (request, reply) => sendJson(reply, await model.bill(billQuery(request.query), request.signal)),
  )
  server.get<{ Querystring: FocusQuestion }>(
    '/v1/export/focus',
    { schema: { querystring: focusQuestionSchema } },
    (request, reply) => {
      const pieces = model.focus(focusQuery(request.query), whileAsked(reply.raw))
      return reply.type('text/csv; charset=utf-8').send(Readable.from(pieces))
    },
  )
  server.post<{ Body: ExplainQuery }>(
    '/v1/explain',
    { schema: { body: explainQuerySchema }, bodyLimit: 4 << 20 },
    async (request, reply) => sendJson(reply, await model.explain(request.body, whileAsked(reply.raw))),
  )
  server.get('/v1/check', async (request, reply) => sendJson(reply, await model.check(request.signal)))
  server.get('/v1/budgets', (_request, reply) => sendJson(reply, model.budgets()))
  server.get('/v1/ledger/verify', async (request, reply) =>
    sendJson(reply, await model.verify(request.signal)),
  )
  server.post<{ Body: SealQuestion }>(
    '/v1/ledger/seal',
    { schema: { body: sealQuestionSchema } },
    async (request, reply) => sendJson(reply, await model.seal(request.body, whileAsked(reply.raw))),
  )
  server.post<{ Body: AdjustQuestion }>(
    '/v1/ledger/adjust',
    { schema: { body: adjustQuestionSchema } },
    async (request, reply) => sendJson(reply, await model.adjust(request.body, whileAsked(reply.raw))),
  )
  server.get('/v1/ledger/reconcile', async (_request, reply) =>
    sendJson(reply, await model.reconcile(whileAsked(reply.raw))),
  )
  server.get('/v1/ledger/export', (_request, reply) =>
    reply.type('application/x-ndjson').send(Readable.from(model.exportLedger(whileAsked(reply.raw)))),
  )
  return server
}

/** Aborted when the one who asked has gone. Fastify's own signal of a request is, as soon as a body has been read. */
function whileAsked(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  return gone.signal
}

function sendJson(reply: { type(type: string): { send(body: string): unknown } }, value: unknown): unknown {
  return reply.type('application/json').send(JSON.stringify(value, bigintAsText))
}

/** Money and amounts cross as text: JSON's numbers are floats to most readers. */
function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
