import { beforeEach, describe, expect, it } from 'vitest'
import { LedgerHealth, type LedgerCheck } from '../../src/billing/ledger-health.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

const unavailable = new SpillwayError('LedgerUnavailable', 'the disk is full')
const corrupt = new SpillwayError('LedgerCorrupt', 'page 7 is torn')
const sound: LedgerCheck = { scope: 'all', atMs: 1, events: 9, problems: [] }
const broken: LedgerCheck = {
  ...sound,
  problems: [
    { claim: 'events are numbered without gaps and chained by hash', message: 'event 3 was changed' },
    { claim: 'replaying the log gives the same intervals', message: 'Pod b differs' },
  ],
}
const inWrite = { isWrite: true }
const inRead = { isWrite: false }

let clock: FakeClock
let health: LedgerHealth
let lines: string[]
let told: number
beforeEach(() => {
  clock = new FakeClock()
  lines = []
  told = 0
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } })
  health = new LedgerHealth({ clock, log })
  health.subscribe(() => (told += 1))
})

describe('a ledger that nobody has looked at yet', () => {
  it('is not said to be well', () => {
    expect(health.finding).toMatchObject({ status: 'Unknown', reason: 'NotCheckedYet' })
  })

  it('is, once it was checked; and nobody is told the same again', () => {
    health.checked(sound)
    health.checked(sound)
    expect(health.finding).toMatchObject({ status: 'True', reason: 'EveryClaimHolds' })
    expect(told).toBe(1)
  })
})

describe('a damaged ledger', () => {
  it('is said to be by a check, with what is wrong', () => {
    health.checked(broken)
    expect(health.finding).toMatchObject({
      status: 'False',
      reason: 'LedgerCorrupt',
      message: expect.stringMatching(
        /chained by hash\): event 3 was changed, and 1 more; nothing new starts/,
      ),
    })
    expect(lines).toEqual([expect.stringContaining('event 3 was changed')])
    expect(told).toBe(1)
  })

  it('is said to be by any call that meets the damage, or by the renewal of the claim', () => {
    health.failed(corrupt, inRead)
    expect(health.finding).toMatchObject({
      reason: 'LedgerCorrupt',
      message: expect.stringMatching(/page 7 is torn/),
    })
    const other = new LedgerHealth({ clock, log: createLog({ level: 'silent' }) })
    other.renewed(corrupt)
    expect(other.isDamaged).toBe(true)
  })

  it('takes nothing more, until all of it was checked and holds', () => {
    health.refuseIfDamaged()
    health.checked(broken)
    expect(() => health.refuseIfDamaged()).toThrow(expect.objectContaining({ code: 'LedgerCorrupt' }))
    health.checked({ ...sound, scope: 'new' })
    expect(() => health.refuseIfDamaged()).toThrow('event 3 was changed')
    health.wrote()
    expect(health.isDamaged).toBe(true)
    health.checked(sound)
    health.refuseIfDamaged()
    expect(health.finding.status).toBe('True')
    expect(told).toBe(2)
  })

  it('is named by the first thing that was found wrong, and once', () => {
    health.failed(corrupt, inWrite)
    health.checked(broken)
    health.failed(corrupt, inWrite)
    expect(health.finding.message).toMatch(/page 7/)
    expect([told, lines.length]).toEqual([1, 1])
  })
})

describe('a ledger that cannot be written', () => {
  it('is not told of while it may be a connection that was lost', async () => {
    health.checked(sound)
    health.failed(unavailable, inWrite)
    await clock.advance(4_999)
    expect(health.finding.status).toBe('True')
    health.wrote()
    await clock.advance(10_000)
    expect(health.finding.status).toBe('True')
    expect([told, clock.pending]).toEqual([1, 0])
  })

  it('is told of after five seconds, with the reason, and is well again with the next write', async () => {
    health.checked(sound)
    health.failed(unavailable, inWrite)
    await clock.advance(5_000)
    expect(health.finding).toMatchObject({
      status: 'False',
      reason: 'LedgerUnavailable',
      message: expect.stringContaining('the disk is full; nothing new starts'),
    })
    health.wrote()
    expect(health.finding.status).toBe('True')
    expect(told).toBe(3)
    expect(lines).toEqual([
      expect.stringContaining('cannot be written: nothing new starts'),
      expect.stringContaining('can be written again'),
    ])
  })

  it('is told of when nobody has anything to write, too: the claim is written every few seconds', async () => {
    health.renewed(unavailable)
    await clock.advance(5_000)
    expect(health.finding.reason).toBe('LedgerUnavailable')
    health.renewed(undefined)
    expect(health.finding.status).toBe('Unknown')
  })

  it('is not taken to be well for one row that fits on a full disk, while events do not', async () => {
    health.failed(unavailable, inWrite)
    await clock.advance(5_000)
    health.renewed(undefined)
    expect(health.finding.reason).toBe('LedgerUnavailable')
    await clock.advance(100_000)
    health.failed(unavailable, inWrite)
    await clock.advance(60_000)
    health.renewed(undefined)
    expect(health.finding.reason).toBe('LedgerUnavailable')
  })

  it('is well again when there is nothing left to be written but the claim', async () => {
    health.failed(unavailable, inWrite)
    await clock.advance(120_000)
    health.renewed(undefined)
    expect(health.finding.status).toBe('Unknown')
  })

  it('may be damaged besides, which is the worse of the two', async () => {
    health.failed(unavailable, inWrite)
    await clock.advance(5_000)
    health.failed(corrupt, inWrite)
    expect(health.finding.reason).toBe('LedgerCorrupt')
  })
})

it('goes by no other error', () => {
  health.failed(new SpillwayError('Busy', 'sealed meanwhile'), inWrite)
  health.failed(new Error('a bug'), inWrite)
  expect([health.finding.status, clock.pending]).toEqual(['Unknown', 0])
})
