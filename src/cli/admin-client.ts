import { existsSync } from 'node:fs'
import { Client } from 'undici'
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
  for await (const text of readAdmin(options, path, question, signal)) answer += text
  return JSON.parse(answer)
}

/** The same for an answer that is too long to hold: its text as it comes. */
export async function* readAdmin(
  { target }: AdminClientOptions,
  path: string,
  { body: sent, ...query }: AdminQuestion,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const url = /^https?:/.test(target)
  if (!url && !existsSync(target)) {
    throw new SpillwayError(
      'Unavailable',
      `no Spillway is running here: ${target} does not exist (npm run up, or --name, or --ledger FILE)`,
    )
  }
  const client = url ? new Client(target) : new Client('http://spillway', { socketPath: target })
  try {
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
    if (statusCode !== 200) {
      const { message } = (await body.json()) as { message?: string }
      throw new SpillwayError('Unavailable', message ?? `${target} answered ${statusCode}`)
    }
    body.setEncoding('utf8')
    for await (const text of body) yield text as string
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SpillwayError) throw error
    throw new SpillwayError('Unavailable', `${target} does not answer: ${errorMessage(error)}`, {
      cause: error,
    })
  } finally {
    // Not closed: who stops reading in the middle would wait for the rest.
    await client.destroy()
  }
}
