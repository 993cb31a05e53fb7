import { afterAll, beforeAll } from 'vitest'
import { testLedgerStore, type LedgerPlace } from '../../conformance/ledger-store.ts'
import { testLedgerWriters } from '../../conformance/ledger-writers.ts'
import { startPostgres, type PostgresServer } from '../../support/postgres-server.ts'

let server: PostgresServer
let places = 0

beforeAll(async () => {
  server = await startPostgres()
}, 60_000)
afterAll(async () => {
  await server.destroy()
})

function makePlace(): Promise<LedgerPlace> {
  places += 1
  const schema = `ledger_${places}`
  return Promise.resolve({
    url: server.ledgerUrl(schema),
    letClaimExpire: async () => void (await server.query(`update ${schema}.writer set renewed_ms = 0`)),
    remove: async () => void (await server.query(`drop schema ${schema} cascade`)),
  })
}

testLedgerStore('PostgreSQL', makePlace)
testLedgerWriters('PostgreSQL', makePlace)
