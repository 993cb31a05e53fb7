import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { runCli } from '../../../src/cli/program.ts'
import { FakeClock, fakeEpochMs } from '../../support/fake-clock.ts'
import { euroBook } from '../../support/late-histories.ts'
import { lifeOf } from '../../support/usage-events.ts'

const never = new AbortController().signal
const hour = 3_600_000
/** The month before that of the fake clock. */
const month = new Date(fakeEpochMs - hour).toISOString().slice(0, 7)

describe('spillway ledger', () => {
  let folder: string
  let file: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-cli-'))
    file = join(folder, 'ledger.db')
    const ledger = await openSqliteLedger({ file })
    await ledger.keepPriceBooks([euroBook], never)
    const startMs = fakeEpochMs - 5 * hour
    await ledger.append(lifeOf('web', { startMs, endMs: startMs + hour, priceBook: euroBook.id }), never)
    await ledger.close()
  }, 20_000)
  afterEach(() => rm(folder, { recursive: true }))

  const run = async (...argv: readonly string[]) => {
    const told = { stdout: '', stderr: '' }
    const code = await runCli(['ledger', ...argv, '--ledger', file], {
      environment: {},
      clock: new FakeClock(),
      random: () => 0.5,
      stdout: { write: (text) => (told.stdout += text) },
      stderr: { write: (text) => (told.stderr += text) },
      signal: never,
    })
    return { code, ...told }
  }

  it('seals a month, tells its sum, and verifies and rebuilds it', async () => {
    const sealed = await run('seal', '--month', month)
    expect(sealed).toMatchObject({ code: 0, stderr: '' })
    expect(sealed.stdout).toContain(
      `Seal 1: ${month}-01T00:00:00.000Z to ${new Date(fakeEpochMs).toISOString().slice(0, 7)}-01`,
    )
    expect(sealed.stdout).toContain('0.0328392 EUR\n  2 lines, 0 adjustments; the log up to event 3')
    expect((await run('seal', '--month', month)).stderr).toContain('is sealed already')
    const hash = /hash (\w+)/.exec(sealed.stdout)?.[1] ?? 'none'
    const verified = await run('verify')
    expect(verified.stdout).toContain(`1 seals, the last ${hash}`)
    expect(verified.stdout).toContain('Every claim holds.')
    expect(await run('rebuild')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('The same as before'),
    })
  }, 30_000)

  it('adjusts once, and says so', async () => {
    const asked = [
      'adjust',
      '--pod',
      'web',
      '--amount',
      '-0.01',
      '--reason',
      'was slow',
      '--author',
      'ann',
    ] as const
    expect((await run(...asked)).stdout).toContain('Adjusted: -0.01 EUR for default/web')
    expect((await run(...asked)).stdout).toContain('Adjusted before: -0.01 EUR for default/web')
  }, 30_000)

  it.each([
    [['seal'], '--month, --until: give one of the two'],
    [['seal', '--month', '2026-13'], '--month: found "2026-13"'],
    [
      ['adjust', '--pod', 'web', '--amount', '1,5', '--reason', 'r', '--author', 'a'],
      '--amount: found "1,5"',
    ],
    [['adjust', '--pod', 'web', '--reason', 'r', '--author', 'a'], '--amount'],
  ])(
    'refuses %j as usage, with the option named',
    async (argv, message) => {
      const { code, stderr } = await run(...argv)
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) })
    },
    20_000,
  )
})
