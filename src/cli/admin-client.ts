import { existsSync } from 'node:fs'
import { Client } from 'undici'
import { errorMessage, SpillwayError } from '../model/errors.ts'

export interface AdminClientOptions {
  /** A unix socket's path, or an http(s) URL. */
  readonly target: string
}

/** The query, or a body that is sent as JSON. */
export type AdminQuestion = Readonly<Record<string, string>> | { readonly body: object }

/** Asks a running Spillway. Rejects with Unavailable when none answers, or with the error that it answers. */
export async function askAdmin(
  { target }: AdminClientOptions,
  path: string,
  { body: sent, ...query }: AdminQuestion,
  signal: AbortSignal,
): Promise<unknown> {
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
      query,
      ...(sent !== undefined && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(sent),
      }),
      signal,
    })
    const answer: unknown = await body.json()
    if (statusCode === 200) return answer
    const { message } = answer as { message?: string }
    throw new SpillwayError('Unavailable', message ?? `${target} answered ${statusCode}`)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SpillwayError) throw error
    throw new SpillwayError('Unavailable', `${target} does not answer: ${errorMessage(error)}`, {
      cause: error,
    })
  } finally {
    await client.close()
  }
}
