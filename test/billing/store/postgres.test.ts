import { afterAll, beforeAll } from 'vitest'
import { openPostgresLedger } from '../../../src/billing/store/postgres.ts'
import { testLedgerStore } from '../../conformance/ledger-store.ts'
import { startPostgres, type PostgresServer } from '../../support/postgres-server.ts'

let server: PostgresServer
let places = 0

beforeAll(async () => {
  server = await startPostgres()
}, 60_000)
afterAll(async () => {
  await server.destroy()
})

testLedgerStore('PostgreSQL', async () => {
  places += 1
  const schema = `ledger_${places}`
  const url = server.ledgerUrl(schema)
  return {
    open: (options) => openPostgresLedger({ url, environment: {}, ...options }),
    letClaimExpire: async () => {
      await server.query(`update ${schema}.writer set renewed_ms = 0`)
    },
    remove: async () => {
      await server.query(`drop schema ${schema} cascade`)
    },
  }
})
