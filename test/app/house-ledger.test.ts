import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openHouseLedger } from '../../src/app/house-ledger.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { compileLedgerCheck } from '../../src/config/ledger.ts'
import type { Config } from '../../src/config/load.ts'
import { systemClock } from '../../src/model/clock.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { lifeOf } from '../support/usage-events.ts'

const never = new AbortController().signal
const world = { clock: systemClock, random: () => 0.5, environment: {}, log: createLog({ level: 'silent' }) }

function configOf(file: string): Pick<Config, 'ledger' | 'ledgerCheck'> {
  return { ledger: { kind: 'sqlite', file }, ledgerCheck: compileLedgerCheck() }
}

describe('the ledger of a running Spillway', () => {
  let folder: string
  let file: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-house-'))
    file = join(folder, 'ledger.db')
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })

  it('ends the run, and says why, when another Spillway has taken it over', { timeout: 60_000 }, async () => {
    const lines: string[] = []
    const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } })
    const { ledger, whileOurs } = await openHouseLedger(configOf(file), { ...world, log }, 'cluster-1')
    const run = whileOurs(never)
    const database = new DatabaseSync(file)
    database.exec(`update writer set epoch = epoch + 1, holder = 'other', holder_name = 'host b, process 7'`)
    database.close()
    await expect(ledger.append(lifeOf('a', { startMs: fakeEpochMs }), never)).rejects.toMatchObject({
      code: 'LedgerTakenOver',
    })
    await expect(run).rejects.toMatchObject({
      code: 'LedgerTakenOver',
      message: expect.stringContaining('host b, process 7'),
    })
    expect(lines).toEqual([expect.stringContaining('the ledger was taken over: this Spillway ends')])
    await ledger.close()
  })

  it('hears of it from its own renewal, too, when it has nothing to write', { timeout: 60_000 }, async () => {
    const log = createLog({ level: 'silent' })
    const { ledger, whileOurs } = await openHouseLedger(configOf(file), { ...world, log }, 'cluster-1')
    const database = new DatabaseSync(file)
    database.exec(`update writer set epoch = epoch + 1, holder = 'other'`)
    database.close()
    await expect(whileOurs(never)).rejects.toMatchObject({ code: 'LedgerTakenOver' })
    await ledger.close()
  })

  it('lets the run end when it is told to', async () => {
    const stop = new AbortController()
    const { ledger, whileOurs } = await openHouseLedger(configOf(file), world, 'cluster-1')
    const run = whileOurs(stop.signal)
    stop.abort()
    await run
    await ledger.close()
    await (await openSqliteLedger({ file })).close()
  })
})
