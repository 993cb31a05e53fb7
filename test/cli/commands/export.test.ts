import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shippedPriceBooks } from '../../../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { runCli } from '../../../src/cli/program.ts'
import { fakeEpochMs as start, FakeClock } from '../../support/fake-clock.ts'
import { shopLedger } from '../../support/shop-ledger.ts'
import { lifeOf } from '../../support/usage-events.ts'

const never = new AbortController().signal
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-export-'))
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
  await ledger.keepPriceBooks(shippedPriceBooks, never)
  await ledger.append(shopLedger(start), never)
  await ledger.close()
})
afterAll(() => rmSync(folder, { recursive: true }))

async function run(...argv: readonly string[]) {
  const told = { stdout: '', stderr: '' }
  const code = await runCli(['export', 'focus', '--ledger', join(folder, 'ledger.db'), ...argv], {
    environment: {},
    clock: new FakeClock(start + 26 * 3_600_000),
    random: () => 0.5,
    stdout: { write: (text) => (told.stdout += text) },
    stderr: { write: (text) => (told.stderr += text) },
    signal: never,
  })
  return { code, ...told }
}

test.each(['1.2', '1.4'])('FOCUS %s of a day is as it was', async (version) => {
  const names = ['--operator', 'Acme', '--host', 'Machines', '--account-name', 'prod']
  const { code, stdout, stderr } = await run('--focus-version', version, '--namespace', 'etl', ...names)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  await expect(stdout).toMatchFileSnapshot(`golden/focus-${version}.txt`)
})

test('a file has its metadata beside it', async () => {
  const file = join(folder, 'spend.csv')
  const { code, stdout } = await run('--output', file, '--focus-version', '1.4')
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `Wrote ${file} and ${join(folder, 'spend.metadata.json')}.\n`,
  })
  expect(readFileSync(file, 'utf8')).toBe((await run('--focus-version', '1.4')).stdout)
  const metadata = readFileSync(join(folder, 'spend.metadata.json'), 'utf8')
  expect(JSON.parse(metadata)).toMatchObject({ Schema: [{ FocusVersion: '1.4' }] })
})

test('half an export is never left as a file', async () => {
  const ledger = await openSqliteLedger({ file: join(folder, 'broken.db') })
  await ledger.keepPriceBooks(shippedPriceBooks, never)
  await ledger.append(lifeOf('good', { startMs: start, endMs: start + 1000 }), never)
  await ledger.append(lifeOf('bad', { startMs: start + 1, endMs: start + 1000, priceBook: 'lost' }), never)
  await ledger.close()
  const file = join(folder, 'half.csv')
  const { code, stderr } = await run('--ledger', join(folder, 'broken.db'), '--output', file)
  expect(code).toBe(1)
  expect(stderr).toContain('price book "lost"')
  expect(readdirSync(folder).filter((name) => name.startsWith('half'))).toEqual([])
})

test.each([
  [['--focus-version', '1.0'], "argument '1.0' is invalid. Allowed choices are 1.2, 1.4"],
  [['--operator', ''], '--operator: found ""; allowed: a name'],
  [['--month', 'May'], '--month: found "May"; allowed: a month as in 2026-11'],
])('%j is wrong usage', async (argv, sentence) => {
  const { code, stderr, stdout } = await run(...argv)
  expect(stderr).toContain(sentence)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
})

test('a place that cannot be written is named', async () => {
  const file = join(folder, 'nowhere', 'spend.csv')
  const { code, stderr } = await run('--output', file)
  expect(code).toBe(1)
  expect(stderr).toContain(`--output: ${file} cannot be written: ENOENT`)
  expect(existsSync(file)).toBe(false)
})
