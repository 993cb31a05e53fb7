import { existsSync } from 'node:fs'
import { Client, type Dispatcher } from 'undici'
import { errorMessage, SpillwayError } from '../model/errors.ts'

export interface AdminClientOptions {
  /** A unix socket's path, or an http(s) URL. */
  readonly target: string
}

/** The query, or a body that is sent as JSON. */
export type AdminQuestion = Readonly<Record<string, string | readonly string[]>> | { readonly body: object }

/** Asks a running Spillway. Rejects with Unavailable when none answers, or with the error that it answers. */
export async function askAdmin(
  options: AdminClientOptions,
  path: string,
  question: AdminQuestion,
  signal: AbortSignal,
): Promise<unknown> {
  let answer = ''
  for await (const piece of readAdmin(options, path, question, signal)) answer += piece
  return JSON.parse(answer)
}

/** As `askAdmin`, for an answer that is not JSON and may be long: its pieces as they come. */
export async function* readAdmin(
  { target }: AdminClientOptions,
  path: string,
  question: AdminQuestion,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const client = connect(target)
  try {
    const body = await answerOf(client, { target, path, question }, signal)
    body.setEncoding('utf8')
    for await (const piece of body) yield String(piece)
  } catch (error) {
    throw told(error, target, signal)
  } finally {
    // Not closed: who stops reading in the middle would wait for the rest.
    await client.destroy()
  }
}

interface Request {
  readonly target: string
  readonly path: string
  readonly question: AdminQuestion
}

function connect(target: string): Client {
  if (/^https?:/.test(target)) return new Client(target)
  if (existsSync(target)) return new Client('http://spillway', { socketPath: target })
  throw new SpillwayError(
    'Unavailable',
    `no Spillway is running here: ${target} does not exist (npm run up, or --name, or --ledger FILE)`,
  )
}

async function answerOf(
  client: Client,
  { target, path, question: { body: sent, ...query } }: Request,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData['body']> {
  const { statusCode, body } = await client.request({
    method: sent === undefined ? 'GET' : 'POST',
    path,
    query: query as Record<string, string | string[]>,
    ...(sent !== undefined && {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(sent),
    }),
    signal,
  })
  if (statusCode === 200) return body
  const { message } = (await body.json()) as { message?: string }
  throw new SpillwayError('Unavailable', message ?? `${target} answered ${statusCode}`)
}

function told(error: unknown, target: string, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (error instanceof SpillwayError) return error
  return new SpillwayError('Unavailable', `${target} does not answer: ${errorMessage(error)}`, {
    cause: error,
  })
}
