import { readFile } from 'node:fs/promises'
import { Client, types, type ClientConfig, type QueryResult } from 'pg'
import type { PostgresCursor, PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type { PostgresUrl } from '../../config/postgres-url.ts'
import { isServerError } from './postgres-errors.ts'
import { tlsOptions } from './postgres-tls.ts'

export interface PostgresSessionOptions {
  readonly url: PostgresUrl
  readonly passwordFile: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly readOnly: boolean
}

const connectMs = 10_000
/** A statement that takes longer is ended by the server: what waits for it would wait for ever. */
const statementMs = 60_000
/** Longer than the server's own limits: it ends a wait for a server that no longer answers at all. */
const answerMs = statementMs + 10_000

/**
 * One session, as a pool of one for Kysely: the claim's lock belongs to a session, and there is one call at a time.
 * After a loss the next call begins a new one.
 */
export class PostgresSession implements PostgresPool {
  /** Kysely wants to be able to open one more, to end a statement; the server's time limit does that here. */
  readonly options = {}
  readonly #options: PostgresSessionOptions
  #current: LiveSession | undefined
  #generation = 0
  #ended = false

  constructor(options: PostgresSessionOptions) {
    this.#options = options
  }

  /** Counts the sessions: whoever has prepared one knows by it that there is another now. */
  get generation(): number {
    return this.#generation
  }

  get isAlive(): boolean {
    return this.#current?.alive ?? false
  }

  async connect(): Promise<PostgresPoolClient> {
    if (this.#ended) throw new Error('the ledger is closed')
    if (!this.#current?.alive) {
      this.#current = await LiveSession.begin(this.#options)
      this.#generation += 1
    }
    return this.#current
  }

  async end(): Promise<void> {
    this.#ended = true
    await this.#current?.end()
  }
}

class LiveSession implements PostgresPoolClient {
  readonly #client: Client
  #alive = true

  private constructor(client: Client) {
    this.#client = client
    client.on('end', () => this.#lose())
    // Told of a session that is idle, when the server ends it; without a listener the thread would end.
    client.on('error', () => this.#lose())
  }

  static async begin(options: PostgresSessionOptions): Promise<LiveSession> {
    const client = new Client(await clientConfig(options))
    const session = new LiveSession(client)
    try {
      await client.connect()
      for (const statement of sessionSettings(options)) await client.query(statement)
      return session
    } catch (error) {
      session.#abandon()
      throw error
    }
  }

  get alive(): boolean {
    return this.#alive
  }

  query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>
  query(text: unknown, parameters: readonly unknown[] = []): unknown {
    if (typeof text !== 'string') throw new Error('the ledger reads without cursors')
    return this.#answer(text, parameters)
  }

  /** Kysely asks for a discard when it could not end a transaction. */
  release(discard?: unknown): void {
    if (discard) this.#abandon()
  }

  async end(): Promise<void> {
    if (this.#alive) await this.#client.end()
  }

  async #answer(text: string, parameters: readonly unknown[]): Promise<QueryResult> {
    try {
      return await this.#client.query(text, [...parameters])
    } catch (error) {
      // Whatever comes late would be taken for the answer to the next question.
      if (!isServerError(error)) this.#abandon()
      throw error
    }
  }

  #lose(): void {
    this.#alive = false
  }

  #abandon(): void {
    this.#alive = false
    void this.#client.end().catch(() => undefined)
  }
}

async function clientConfig(options: PostgresSessionOptions): Promise<ClientConfig> {
  const { url, passwordFile, environment } = options
  const { host, port, user, database } = url
  const ssl = tlsOptions({ ...url, host: host ?? environment['PGHOST'] }, environment['PGSSLMODE'])
  return {
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
    ...(user !== undefined && { user }),
    ...(database !== undefined && { database }),
    // Read each time: a password that was changed is found in the file.
    ...(passwordFile !== undefined && { password: (await readFile(passwordFile, 'utf8')).trim() }),
    ssl,
    application_name: 'spillway ledger',
    connectionTimeoutMillis: connectMs,
    query_timeout: answerMs,
    statement_timeout: statementMs,
    keepAlive: true,
    types: { getTypeParser: typeParser },
  }
}

const int8: number = types.builtins.INT8

/** 64-bit integers as bigint, the rest as ever. */
function typeParser(id: number, format: 'text' | 'binary' = 'text'): (value: string) => unknown {
  return id === int8 ? BigInt : types.getTypeParser(id, format)
}

function sessionSettings({ url, readOnly }: PostgresSessionOptions): string[] {
  const settings = [
    `set search_path to "${url.schema}"`,
    // A transaction that its client sleeps in holds up whoever wants to take over. One that reads holds up nobody, and
    // has to work on what it was told.
    `set idle_in_transaction_session_timeout to ${readOnly ? readerSleepMs : claimHandoverMs}`,
    `set lock_timeout to ${claimHandoverMs}`,
  ]
  if (readOnly) return [...settings, 'set default_transaction_read_only to on']
  // What is acknowledged is on disk, whatever the server or the role has as default; only more is left as it is.
  return [
    ...settings,
    `select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') <> 'remote_apply'`,
  ]
}

const readerSleepMs = 300_000

/** How long one that begins waits for the session of one that has stalled. */
export const claimHandoverMs = 10_000
