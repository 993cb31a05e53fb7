import { mkdtemp, rename, rm } from 'node:fs/promises'
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
import { turnABit } from '../support/turn-a-bit.ts'
import { until } from '../support/until.ts'
import { lifeOf } from '../support/usage-events.ts'

const never = new AbortController().signal
const world = { clock: systemClock, random: () => 0.5, environment: {}, log: createLog({ level: 'silent' }) }

function configOf(file: string): Pick<Config, 'ledger' | 'ledgerCheck'> {
  return { ledger: { kind: 'sqlite', file }, ledgerCheck: compileLedgerCheck() }
}

function backUp(file: string, copy: string): void {
  const database = new DatabaseSync(file)
  database.exec(`vacuum into '${copy}'`)
  database.close()
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

  it(
    'finds a bit that turns in it, takes nothing more, and is well when a backup is in its place',
    { timeout: 60_000 },
    async () => {
      const config = { ...configOf(file), ledgerCheck: { everyMs: 500, fullEveryMs: 500 } }
      const over = new AbortController()
      const begin = async () => {
        const house = await openHouseLedger(config, world, 'cluster-1')
        void house.selfCheck.run(over.signal)
        const says = (reason: string) => Promise.resolve(house.ledgerHealth.finding.reason === reason)
        return { ...house, says }
      }
      const { ledger, ledgerHealth, says } = await begin()
      for (const pod of ['pod-1', 'pod-2', 'pod-3', 'pod-4', 'pod-5']) {
        await ledger.append(lifeOf(pod, { startMs: fakeEpochMs }), never)
      }
      await until('it holds', () => says('EveryClaimHolds'), never)
      backUp(file, join(folder, 'backup.db'))
      await turnABit(file, 'pod-1')
      await until('it is found damaged', () => says('LedgerCorrupt'), never)
      expect(ledgerHealth.finding.message).toMatch(/event 1 \(INTENT of Pod pod-1\) was changed/)
      const more = lifeOf('pod-6', { startMs: fakeEpochMs })
      await expect(ledger.append(more, never)).rejects.toMatchObject({ code: 'LedgerCorrupt' })
      expect(await ledger.openIntervals(never)).toHaveLength(5)
      await ledger.close()
      await rm(file)
      await rename(join(folder, 'backup.db'), file)
      const after = await begin()
      await until('it holds', () => after.says('EveryClaimHolds'), never)
      await after.ledger.append(more, never)
      expect(await after.ledger.openIntervals(never)).toHaveLength(6)
      over.abort()
      await after.ledger.close()
    },
  )
})
