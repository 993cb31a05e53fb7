import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openPostgresLedger } from '../../src/billing/store/postgres.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { systemClock } from '../../src/model/clock.ts'
import { hasCode } from '../../src/model/errors.ts'
import { startPostgres } from './postgres-server.ts'

/** Which ledger is kept: told to the child as JSON. */
export type CrashLedger =
  { readonly kind: 'sqlite'; readonly file: string } | { readonly kind: 'postgres'; readonly url: string }

/** Ledgers of one kind, for one run each. */
export interface CrashLedgers extends AsyncDisposable {
  /** Calls with an empty one, and removes it. */
  use<T>(work: (ledger: CrashLedger) => Promise<T>): Promise<T>
}

/**
 * Tries again while the one that was killed still counts as alive, as whatever supervises Spillway does: a PostgreSQL
 * server hears a little later that a session has ended, and after what it was about.
 */
export async function openCrashLedger(ledger: CrashLedger): Promise<LedgerStore> {
  for (;;) {
    try {
      return await openOnce(ledger)
    } catch (error) {
      if (!hasCode(error, 'LedgerUnavailable') || !error.message.includes('another Spillway')) throw error
      await systemClock.sleep(5, new AbortController().signal)
    }
  }
}

async function openOnce(ledger: CrashLedger): Promise<LedgerStore> {
  switch (ledger.kind) {
    case 'sqlite':
      return await openSqliteLedger({ file: ledger.file })
    case 'postgres':
      return await openPostgresLedger({ url: ledger.url, environment: {} })
  }
}

export async function sqliteCrashLedgers(): Promise<CrashLedgers> {
  const parent = await mkdtemp(join(tmpdir(), 'spillway-crashes-'))
  return {
    use: async (work) => {
      const folder = await mkdtemp(join(parent, 'run-'))
      const outcome = await work({ kind: 'sqlite', file: join(folder, 'ledger.db') })
      await rm(folder, { recursive: true })
      return outcome
    },
    [Symbol.asyncDispose]: async () => await rm(parent, { recursive: true }),
  }
}

/** Schemas of one real server, which outlives every crash. */
export async function postgresCrashLedgers(): Promise<CrashLedgers> {
  const server = await startPostgres()
  let schemas = 0
  return {
    use: async (work) => {
      const schema = `crash_${schemas++}`
      const outcome = await work({ kind: 'postgres', url: server.ledgerUrl(schema) })
      await server.query(`drop schema ${schema} cascade`)
      return outcome
    },
    [Symbol.asyncDispose]: async () => await server.destroy(),
  }
}
