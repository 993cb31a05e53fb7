import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { flatDemo } from '../../../src/billing/price-books/flat-demo.ts'
import { shippedPriceBooks } from '../../../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { runCli } from '../../../src/cli/program.ts'
import { readPriceBook, writePriceBook } from '../../../src/config/price-book.ts'
import { FakeClock } from '../../support/fake-clock.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-prices-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const ours = { ...flatDemo, id: 'ours', prices: [{ ...flatDemo.prices[0]!, price: '0.05' }] }

function file(name: string, content: object | string): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : stringify(content))
  return path
}

async function prices(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const told = { stdout: '', stderr: '' }
  const code = await runCli(['prices', ...argv], {
    environment: {},
    clock: new FakeClock(),
    random: () => 0.5,
    stdout: { write: (text) => (told.stdout += text) },
    stderr: { write: (text) => (told.stderr += text) },
    signal: new AbortController().signal,
  })
  return { code, ...told }
}

describe('prices list', () => {
  it('has the books that come with Spillway, and those of a configuration', async () => {
    const { stdout, code } = await prices('list')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^aws-fargate-us-east-1-2026-03 +USD +2026-03-10 +74 +no /m)
    expect(stdout).toMatch(/^flat-demo +USD +2026-01-01 +1:1 +no +made up for demonstrations$/m)
    file('ours.yaml', writePriceBook(ours))
    const config = file('spillway.yaml', {
      nodeApi: { address: '127.0.0.1' },
      backends: [{ name: 'a', kind: 'simulator' }],
      priceBooks: ['ours.yaml'],
    })
    expect((await prices('list', '--config', config)).stdout).toMatch(/^ours +USD/m)
  })

  it('is, as JSON, all of each book', async () => {
    const told = JSON.parse((await prices('list', '--json')).stdout) as unknown[]
    expect(told.map((book) => readPriceBook(book).book)).toEqual(shippedPriceBooks)
  })
})

describe('prices show', () => {
  it('tells notes, prices, and each row of sizes with what it costs', async () => {
    const { stdout } = await prices('show', 'tencent-eks-intl-2023-06-30')
    expect(stdout).toContain('Price book tencent-eks-intl-2023-06-30, USD\n')
    expect(stdout).toContain('  - Not current: verify before use.')
    expect(stdout).toMatch(/^eks-amd-core-spot +0\.000000438 +Core-Seconds +AMD spot$/m)
    // 4 × 0.0179136 and 8 or 32 × 0.0074628.
    expect(stdout).toMatch(/^4 cores +Intel +8 GiB to 32 GiB by 1 GiB +0\.1313568 to 0\.310464$/m)
    expect(stdout).toMatch(/^4 cores +AMD +4 GiB to 16 GiB by 1 GiB +0\.049824 to 0\.104688$/m)
    expect(stdout).toMatch(/^1 × 1\/4 T4 +4 cores +20 GiB +0\.2209104, cards unpriced$/m)
  })

  it('writes, as JSON, a file that is the same book', async () => {
    const { stdout } = await prices('show', 'flat-demo', '--json')
    const copy = file('copy.json', stdout.replace('"flat-demo"', '"copy"'))
    expect((await prices('check', copy)).stdout).toBe(`${copy}: price book copy, 3 prices, sizes 1:1\n`)
  })

  it('takes a file, and names what is wrong with it', async () => {
    expect((await prices('show', file('ours.yaml', writePriceBook(ours)))).stdout).toContain(
      'Price book ours',
    )
    const bad = await prices('show', file('bad.yaml', { id: 'bad' }))
    expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining('  - prices: missing') })
  })

  it('says which books there are when there is none of that name', async () => {
    expect(await prices('show', 'nobody')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('price book: found "nobody"; allowed: tencent-eks-intl-2023-06-30'),
    })
  })
})

describe('prices check', () => {
  it('is 0 for books that are right', async () => {
    const good = file('ours.yaml', writePriceBook(ours))
    expect(await prices('check', good)).toEqual({
      code: 0,
      stdout: `${good}: price book ours, 1 prices, sizes 1:1\n`,
      stderr: '',
    })
  })

  it('is 3 where something is wrong, and tells it file by file', async () => {
    const good = file('ours.yaml', writePriceBook(ours))
    const bad = file('bad.yaml', { ...writePriceBook(ours), currency: 'Euro', price: 1 })
    const twin = file('twin.yaml', writePriceBook(ours))
    const taken = file('taken.yaml', writePriceBook(flatDemo))
    const { code, stdout } = await prices('check', good, bad, twin, taken, join(folder, 'none.yaml'))
    expect(code).toBe(3)
    expect(stdout).toContain(`${bad}: 2 problems\n`)
    expect(stdout).toContain('  ✗ currency: found "Euro"')
    expect(stdout).toContain(`  ✗ id: "ours" is taken already, by ${good}\n`)
    expect(stdout).toContain('  ✗ id: "flat-demo" is taken by a book that comes with Spillway\n')
    expect(stdout).toContain('  ✗ cannot be read: ENOENT')
  })

  it('holds a book against the one that a ledger was billed by', { timeout: 30_000 }, async () => {
    const ledgerFile = join(folder, 'ledger.db')
    const ledger = await openSqliteLedger({ file: ledgerFile })
    await ledger.keepPriceBooks([ours], new AbortController().signal)
    await ledger.close()
    const same = file('ours.yaml', writePriceBook(ours))
    expect((await prices('check', same, '--ledger', ledgerFile)).code).toBe(0)
    const dearer = { ...ours, prices: [{ ...ours.prices[0]!, price: '0.06' }] }
    const changed = file('ours.yaml', writePriceBook(dearer))
    const { code, stdout } = await prices('check', changed, '--ledger', ledgerFile)
    expect(code).toBe(3)
    expect(stdout).toContain('✗ prices[0].price: "0.05", now "0.06": the ledger was billed by it')
  })

  it('needs a file', async () => {
    expect((await prices('check')).code).toBe(2)
  })
})

describe('prices diff', () => {
  it('tells what changes, in percent, and for Pods', async () => {
    const { code, stdout } = await prices(
      'diff',
      'aws-fargate-us-east-1-2026-03',
      'alibaba-eci-intl-2025-11-04',
    )
    expect(code).toBe(0)
    expect(stdout).toMatch(/^From aws-fargate-us-east-1-2026-03 to alibaba-eci-intl-2025-11-04\.$/m)
    expect(stdout).toMatch(/^billed at least +60 s +0 s$/m)
    expect(stdout).toMatch(/^cpu +0\.04048 +0\.02772 +-31\.5 %$/m)
    expect(stdout).toMatch(/^2 cores, 9 GiB +0\.120965 +none$/m)
    expect(stdout).toMatch(
      /^1 CPU, 8Gi +2 cores, 9 GiB: 0\.120965 USD +1 core, 8 GiB: 0\.055368 USD +-54\.2 %$/m,
    )
  })

  it('says so when nothing changes', async () => {
    const { stdout } = await prices('diff', 'flat-demo', 'flat-demo')
    expect(stdout).toContain('From flat-demo to flat-demo: rules, prices and sizes are the same.')
  })

  it('compares Pods of manifests, and files', async () => {
    const manifest = file('job.yaml', {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'train', namespace: 'ml' },
      spec: { template: { spec: { containers: [{ name: 'a', resources: { requests: { cpu: '20' } } }] } } },
    })
    const book = file('ours.yaml', writePriceBook(ours))
    const { stdout } = await prices('diff', 'tencent-eks-intl-2023-06-30', book, '-f', manifest)
    expect(stdout).toMatch(/^ml\/train-… +no size +20 cores, 512 MiB: 1 USD$/m)
    expect((await prices('diff', book, book, '-f', join(folder, 'none'))).code).toBe(2)
  })

  it('goes by the prices of the time that is asked for', async () => {
    const core = flatDemo.prices[0]!
    const turned = {
      ...ours,
      prices: [
        { ...core, validTo: '2030-01-01T00:00:00Z' },
        { ...core, price: '0.08', validFrom: '2030-01-01T00:00:00Z' },
      ],
    }
    const book = file('turned.yaml', writePriceBook(turned))
    const change = async (at: string): Promise<string | undefined> => {
      const { stdout } = await prices('diff', 'flat-demo', book, '--at', at, '--json')
      const { prices: all } = JSON.parse(stdout) as { prices: { what: string; changePercent?: string }[] }
      return all.find(({ what }) => what === 'cpu')?.changePercent
    }
    expect(await change('2029-12-31')).toBe('0')
    expect(await change('2030-01-01')).toBe('+100')
  })
})
