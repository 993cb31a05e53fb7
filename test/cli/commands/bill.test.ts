import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { shippedPriceBooks } from '../../../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { evaluate } from '../../../src/cli/demo/pay-the-bill.ts'
import { runCli } from '../../../src/cli/program.ts'
import { formatNanos, nanoScale, parseDecimal, roundRational } from '../../../src/model/money.ts'
import { fakeEpochMs as start, FakeClock } from '../../support/fake-clock.ts'
import { shopLedger } from '../../support/shop-ledger.ts'

const never = new AbortController().signal
const hour = 3_600_000
/** 26 hours into the year. */
const now = start + 26 * hour

let folder: string
let file: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-bill-'))
  file = join(folder, 'ledger.db')
  const ledger = await openSqliteLedger({ file })
  await ledger.keepPriceBooks(shippedPriceBooks, never)
  await ledger.append(shopLedger(start), never)
  await ledger.close()
})
afterAll(() => rmSync(folder, { recursive: true }))

async function run(...argv: readonly string[]) {
  const told = { stdout: '', stderr: '' }
  const code = await runCli([...argv, '--ledger', file], {
    environment: {},
    clock: new FakeClock(now),
    random: () => 0.5,
    stdout: { write: (text) => (told.stdout += text) },
    stderr: { write: (text) => (told.stderr += text) },
    signal: never,
  })
  return { code, ...told }
}

describe('spillway bill', () => {
  test.each([
    ['by-namespace', []],
    ['by-day-and-pool', ['--by', 'day,pool']],
    ['by-workload', ['--by', 'workload']],
    ['by-pod', ['--by', 'pod']],
    ['by-label', ['--by', 'label:team,namespace']],
    ['by-pod-csv', ['--by', 'pod', '--csv']],
    ['completed-jobs', ['--by', 'workload', '--workload', 'Job']],
    ['json', ['--json', '--by', 'namespace', '--namespace', 'shop']],
    ['explained', ['--explain', 'shop/web-1']],
    ['explained-with-correction', ['--explain', 'report-x']],
  ])('prints %s as it did', async (name, argv) => {
    const { code, stdout, stderr } = await run('bill', ...argv)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    await expect(stdout).toMatchFileSnapshot(`golden/bill-${name}.txt`)
  })

  test('bills for those that the filters leave', async () => {
    const filters = ['--namespace', 'shop', '--namespace', 'etl', '--pool', 'night', '--label', 'team']
    const { stdout } = await run('--json', 'bill', '--last', '3h', '--workload', 'Job', ...filters)
    expect(JSON.parse(stdout)).toMatchObject({
      from: '2026-01-01T23:00:00.000Z',
      rows: [{ namespace: 'etl', pods: 1 }, { correction: expect.any(String) }],
    })
  })

  test('an explained Pod can be computed again from the printed text', async () => {
    const { stdout } = await run('bill', '--explain', 'shop/web-1')
    const lines = [...stdout.matchAll(/^ {4}(.*) → (\S+) USD$/gm)]
    expect(lines.length).toBeGreaterThan(3)
    for (const [, formula = '', amount] of lines) expect(evaluate(formula)).toBe(amount)
    const sum = lines.reduce((nanos, [, , amount = '']) => nanos + toNanos(amount), 0n)
    expect(stdout).toContain(`sum of ${lines.length} lines: ${formatNanos(sum)} USD`)
    expect(stdout).toContain(`Total ${formatNanos(sum)} USD`)
  })

  test.each([
    [['--by', 'team'], '--by: found "team"; allowed: namespace, workload, pod, pool, day, label:KEY'],
    [['--by', 'pod,pod'], '--by: found "pod"; allowed: '],
    [['--by', 'namespace,'], '--by: found ""; allowed: '],
    [['--month', '2026-13'], '--month: found "2026-13"; allowed: a month as in 2026-11'],
    [['--last', 'week'], '--last: found "week"; allowed: a length of time as in 90m, 24h, 7d'],
    [
      ['--today', '--month', '2026-01'],
      'found --month with --today; allowed: one of --month, --today and --last, or --from and --to',
    ],
    [
      ['--from', '2026-01-02', '--to', '2026-01-01'],
      '--to: found 2026-01-01T00:00:00.000Z; allowed: a time after --from (2026-01-02T00:00:00.000Z)',
    ],
    [['--label', '=web'], '--label: found "=web"; allowed: KEY=VALUE, or KEY'],
    [['--namespace', ''], '--namespace: found ""; allowed: the name of one'],
    [['--csv', '--explain', 'web-1'], "option '--csv' cannot be used with option '--explain <pod>'"],
  ])('%j is wrong usage', async (argv, sentence) => {
    const { code, stdout, stderr } = await run('bill', ...argv)
    expect(stderr).toContain(sentence)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  test('a Pod that was not billed cannot be explained', async () => {
    const { code, stderr } = await run('bill', '--explain', 'nobody')
    expect(code).toBe(1)
    expect(stderr).toContain('--explain: no Pod "nobody" was billed from 2026-01-01')
  })
})

function toNanos(amount: string): bigint {
  return roundRational(parseDecimal(amount), nanoScale, 'half_even')
}
