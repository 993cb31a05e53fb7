import { join } from 'node:path'
import { Type, type Static } from 'typebox'
import { errorMessage } from '../model/errors.ts'
import { isPostgresUrl, parsePostgresUrl } from './postgres-url.ts'
import { text } from './schema-words.ts'

export const ledgerSchema = Type.Object(
  {
    file: Type.Optional(text('SQLite file (ledger.db in the folder of state)')),
    postgres: Type.Optional(
      Type.Object(
        {
          url: text(
            'postgresql://user@host:port/database?schema=NAME, without password; what is left out comes from PG* variables. Clusters may share a database, each with a schema of its own (spillway). TLS by sslmode (verify-full, to this machine disable), sslrootcert, sslcert, sslkey',
          ),
          passwordFile: Type.Optional(
            text('file that holds the password, read at each connecting; left out: PGPASSWORD or PGPASSFILE'),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    checkSeconds: Type.Optional(
      Type.Integer({
        minimum: 5,
        maximum: 604_800,
        description: 'seconds between two checks of what was written since (21600)',
      }),
    ),
    fullCheckSeconds: Type.Optional(
      Type.Integer({
        minimum: 5,
        maximum: 2_592_000,
        description: 'seconds between two checks of all of it; the first is made at the start (86400)',
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'where the ledger is kept, in one of file and postgres; left out: in the SQLite file; and how often it is checked',
  },
)

export type LedgerConfig =
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly passwordFile: string | undefined }

/** What `--ledger` says: a file, or a PostgreSQL URL. Throws Usage. */
export function parseLedgerPlace(text: string): LedgerConfig {
  if (!isPostgresUrl(text)) return { kind: 'sqlite', file: text }
  parsePostgresUrl(text)
  return { kind: 'postgres', url: text, passwordFile: undefined }
}

export function compileLedger(raw: Static<typeof ledgerSchema> = {}, stateDir: string): LedgerConfig {
  const { file, postgres } = raw
  if (!postgres) return { kind: 'sqlite', file: file ?? join(stateDir, 'ledger.db') }
  return { kind: 'postgres', url: postgres.url, passwordFile: postgres.passwordFile }
}

/** How often the ledger is checked against itself. */
export interface LedgerCheckConfig {
  readonly everyMs: number
  readonly fullEveryMs: number
}

export function compileLedgerCheck(raw: Static<typeof ledgerSchema> = {}): LedgerCheckConfig {
  const { checkSeconds = 21_600, fullCheckSeconds = 86_400 } = raw
  return { everyMs: checkSeconds * 1000, fullEveryMs: fullCheckSeconds * 1000 }
}

/** What the schema cannot see. Never holds the URL itself, in which a password may stand. */
export function checkLedger({ file, postgres }: Static<typeof ledgerSchema> = {}): string[] {
  if (!postgres) return []
  const both = file === undefined ? [] : ['ledger: found file and postgres; allowed: one of them']
  try {
    parsePostgresUrl(postgres.url)
    return both
  } catch (error) {
    return [...both, `ledger.postgres.url: ${errorMessage(error)}`]
  }
}
