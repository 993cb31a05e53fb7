import { beforeEach, describe, expect, it } from 'vitest'
import { LedgerHealth } from '../../src/billing/ledger-health.ts'
import { SelfCheck, type SelfCheckOptions } from '../../src/billing/self-check.ts'
import type { LedgerProblem, LedgerReport } from '../../src/billing/verify.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { createLog, silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, fakeEpochMs, settled } from '../support/fake-clock.ts'

const never = new AbortController().signal
const hourMs = 3_600_000
const torn: LedgerProblem = { claim: 'the database finds its own pages whole', message: 'page 7 is torn' }
type Asked = Parameters<SelfCheckOptions['check']>[0]

let clock: FakeClock
let health: LedgerHealth
let lines: string[]
let asked: Asked[]
let events: number
let problems: LedgerProblem[]
let failure: Error | undefined
let head: () => Promise<{ seq: number; hash: string }>
let hold: Promise<void> | undefined

beforeEach(() => {
  clock = new FakeClock()
  health = new LedgerHealth({ clock, log: silentLog() })
  lines = []
  asked = []
  events = 10
  problems = []
  failure = undefined
  hold = undefined
  head = () => Promise.resolve({ seq: events, hash: `h${events}` })
})

function selfCheck(): SelfCheck {
  return new SelfCheck({
    ledger: { head: () => head() },
    health,
    check: async (request) => {
      asked.push(request)
      const found = { events, headHash: `h${events}`, problems: [...problems] }
      await hold
      if (failure) throw failure
      if (request.after) return { scope: 'new', report: found }
      return { scope: 'all', report: { ...found, pods: 3 } as unknown as LedgerReport }
    },
    everyMs: 6 * hourMs,
    fullEveryMs: 24 * hourMs,
    clock,
    random: () => 0.5,
    log: createLog({ level: 'warn', destination: { write: (line) => void lines.push(line) } }),
  })
}

/** Whether each check was of all, in order. */
const scopes = (): string[] => asked.map(({ after }) => (after ? `after ${after.seq}` : 'all'))

describe('the check of the ledger', () => {
  let over: AbortController
  const begin = async (): Promise<{ readonly run: Promise<void> }> => {
    over = new AbortController()
    const run = selfCheck().run(over.signal)
    await settled()
    return { run }
  }

  it('is of all at the start, then of what is new every six hours, and of all once a day', async () => {
    await begin()
    expect(scopes()).toEqual(['all'])
    expect(health.finding.status).toBe('True')
    events = 12
    await clock.advance(6 * hourMs)
    events = 15
    await clock.advance(18 * hourMs)
    expect(scopes()).toEqual(['all', 'after 10', 'after 12', 'after 15', 'all'])
    expect(asked.every(({ rests }) => rests)).toBe(true)
    over.abort()
  })

  it('compares with what the writer says that it has written', async () => {
    await begin()
    expect(asked[0]?.written).toEqual({ seq: 10, hash: 'h10' })
    head = () => Promise.reject(new SpillwayError('LedgerUnavailable', 'away'))
    await clock.advance(6 * hourMs)
    expect(asked[1]?.written).toBeUndefined()
    over.abort()
  })

  it('is of all, each time, once something was found wrong, until all holds again', async () => {
    await begin()
    problems = [torn]
    await clock.advance(6 * hourMs)
    expect(health.finding).toMatchObject({ reason: 'LedgerCorrupt' })
    expect(health.lastCheck).toMatchObject({ scope: 'new', problems: [torn], atMs: fakeEpochMs + 6 * hourMs })
    await clock.advance(6 * hourMs)
    problems = []
    await clock.advance(6 * hourMs)
    expect(health.finding.status).toBe('True')
    await clock.advance(6 * hourMs)
    expect(scopes()).toEqual(['all', 'after 10', 'all', 'all', 'after 10'])
    over.abort()
  })

  it('counts what cannot be read at all as damage', async () => {
    failure = new SpillwayError('LedgerCorrupt', 'event 3: what is stored cannot be read')
    await begin()
    expect(health.finding).toMatchObject({
      reason: 'LedgerCorrupt',
      message: expect.stringContaining('all of it can be read): event 3'),
    })
    expect(health.lastCheck?.problems).toHaveLength(1)
    over.abort()
  })

  it('says that it could not be made, finds nothing wrong for that, and tries again', async () => {
    failure = new SpillwayError('LedgerUnavailable', 'no connection is left')
    await begin()
    expect(health.finding.status).toBe('Unknown')
    expect(lines).toEqual([expect.stringContaining('no connection is left')])
    failure = undefined
    await clock.advance(6 * hourMs)
    expect(scopes()).toEqual(['all', 'all'])
    expect(health.finding.status).toBe('True')
    over.abort()
  })

  it('ends with the signal, between two checks or in one', async () => {
    const { run } = await begin()
    over.abort()
    await run
    hold = new Promise(() => undefined)
    const other = new AbortController()
    other.abort()
    await selfCheck().run(other.signal)
    expect(clock.pending).toBe(0)
  })
})

describe('a check that somebody asks for', () => {
  it('is of all, at once, and counts', async () => {
    problems = [torn]
    const report = await selfCheck().verify(never)
    expect(report).toMatchObject({ pods: 3, problems: [torn] })
    expect(asked).toMatchObject([{ after: undefined, rests: false }])
    expect(health.isDamaged).toBe(true)
  })

  it('is not contradicted by one that began before it and ends after it', async () => {
    const checks = selfCheck()
    const gate = Promise.withResolvers<void>()
    hold = gate.promise
    const first = checks.verify(never)
    await settled()
    hold = undefined
    problems = [torn]
    await checks.verify(never)
    gate.resolve()
    await first
    expect(health.isDamaged).toBe(true)
  })
})
