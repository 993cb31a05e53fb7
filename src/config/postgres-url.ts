import { SpillwayError } from '../model/errors.ts'

/** A ledger's URL, taken apart. What is undefined comes from the PG* variables. */
export interface PostgresUrl {
  readonly host: string | undefined
  readonly port: number | undefined
  readonly user: string | undefined
  readonly database: string | undefined
  /** The ledger's own: a database may hold several ledgers, each in a schema. */
  readonly schema: string
  readonly tls: PostgresTls
}

export interface PostgresTls {
  readonly mode: TlsMode | undefined
  readonly rootCertificate: string | undefined
  readonly certificate: string | undefined
  readonly key: string | undefined
}

const tlsModes = ['disable', 'require', 'verify-ca', 'verify-full'] as const
export type TlsMode = (typeof tlsModes)[number]

const parameters = ['schema', 'host', 'user', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const
const schemaPattern = /^[a-z_][a-z0-9_]{0,62}$/

export function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text)
}

/**
 * Throws Usage, naming what is wrong and never the text itself: it may hold a password, which is refused, for a URL is
 * seen in process lists, logs and backups of configuration.
 */
export function parsePostgresUrl(text: string): PostgresUrl {
  const url = URL.canParse(text) && isPostgresUrl(text) ? new URL(text) : undefined
  if (!url) throw wrong('is not of the form postgresql://user@host:port/database?schema=NAME')
  if (url.password !== '')
    throw wrong('holds a password: give it in passwordFile, PGPASSWORD or PGPASSFILE instead')
  for (const name of url.searchParams.keys()) {
    if (!(parameters as readonly string[]).includes(name))
      throw wrong(`has the parameter "${name}"; allowed: ${parameters.join(', ')}`)
  }
  const parameter = (name: (typeof parameters)[number]): string | undefined =>
    url.searchParams.get(name) || undefined
  const schema = parameter('schema') ?? 'spillway'
  if (!schemaPattern.test(schema))
    throw wrong(`has schema "${schema}"; allowed: small letters, digits and _, at most 63, no digit first`)
  return {
    host: parameter('host') ?? (decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1') || undefined),
    port: url.port === '' ? undefined : Number(url.port),
    user: parameter('user') ?? (decodeURIComponent(url.username) || undefined),
    database: decodeURIComponent(url.pathname.slice(1)) || undefined,
    schema,
    tls: {
      mode: tlsMode('sslmode', parameter('sslmode')),
      rootCertificate: parameter('sslrootcert'),
      certificate: parameter('sslcert'),
      key: parameter('sslkey'),
    },
  }
}

/** `name` is that of the parameter or variable. Throws Usage for another word. */
export function tlsMode(name: string, found: string | undefined): TlsMode | undefined {
  const mode = tlsModes.find((known) => known === found)
  if (found && !mode) {
    throw new SpillwayError('Usage', `${name}: found "${found}"; allowed: ${tlsModes.join(', ')}`)
  }
  return mode
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('Usage', `the ledger's PostgreSQL URL ${what}`)
}
