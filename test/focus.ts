/**
 * `npm run focus`: the FOCUS export, judged by the FinOps Foundation's own validator, which is installed from PyPI into
 * a folder of the user's cache. Prints what it refuses, and compares with what docs/guides/bills.md says of it. Then a
 * file that is wrong on purpose, to see that the validator refuses that. Exit code 1: something else was refused, or the
 * validator cannot be had, with the reason.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { shippedPriceBooks } from '../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../src/billing/store/sqlite.ts'
import { findInvoker, userCacheDir } from '../src/dev-cluster/cache-dir.ts'
import { runSpillway } from './support/run-spillway.ts'
import { shopLedger } from './support/shop-ledger.ts'

const validatorVersion = '2.2.1'
/** The validator leaves these open, and newer ones do not go with the numpy that it wants. */
const packages = [`focus-validator==${validatorVersion}`, 'numpy==1.26.4', 'pyarrow==19.0.1']

/** What is true of us, of all that makes columns necessary: docs/guides/bills.md says why the others are not. */
const criteria = [
  'ACCOUNT_NAMING_SUPPORTED',
  'BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED',
  'MULTIPLE_PRICING_CATEGORIES_SUPPORTED',
  'NEGOTIATED_PRICING_SUPPORTED',
  'PUBLIC_PRICE_LIST_SUPPORTED',
  'RESOURCE_TYPE_ASSIGNMENT_SUPPORTED',
  'SUB_ACCOUNT_SUPPORTED',
  'TAGGING_SUPPORTED',
  'UNIT_PRICING_SUPPORTED',
  'USAGE_MEASUREMENT_SUPPORTED',
]

/** Nullable, says FOCUS, where no invoice was issued; the validator's rule has left that condition out. */
const invoiceId = ['InvoiceId-C-005-C']
/** 1.4 has no ProviderName and no PublisherName any more; the validator brings the rules of 1.2 alone along. */
const providers = [
  'BilledCost-C-000-M',
  'BilledCost-C-005-C',
  'CostAndUsage-D-021-M',
  'CostAndUsage-D-038-M',
  ...['ProviderName', 'PublisherName'].flatMap((column) =>
    ['000', '001', '002', '003'].map((rule) => `${column}-C-${rule}-M`),
  ),
]
const expected: Readonly<Record<string, readonly string[]>> = {
  '1.2': invoiceId,
  '1.4': [...invoiceId, ...providers].sort(),
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function run(program: string, args: readonly string[], cwd?: string) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    ...(cwd && { cwd }),
  })
  return { ok: status === 0, stdout: stdout ?? '', stderr: error ? error.message : (stderr ?? '') }
}

/** The folder of its packages: it looks for a file of its own by a path that begins there. */
async function install(signal: AbortSignal): Promise<string | undefined> {
  const invoker = await findInvoker(process.env, process.getuid?.() ?? 0, signal)
  const home = join(userCacheDir(process.env, invoker), 'focus-validator', validatorVersion)
  const done = join(home, 'installed')
  if (!existsSync(done)) {
    rmSync(home, { recursive: true, force: true })
    mkdirSync(home, { recursive: true })
    say(`Installing ${packages.join(' ')} into ${home} …`)
    const steps: readonly (readonly [string, readonly string[]])[] = [
      ['python3', ['-m', 'venv', home]],
      [join(home, 'bin/pip'), ['install', '--quiet', '--ignore-requires-python', ...packages]],
    ]
    for (const [program, args] of steps) {
      const { ok, stderr } = run(program, args)
      if (ok) continue
      say(`The validator cannot be had here: ${stderr.trim().split('\n').at(-1)}`)
      return undefined
    }
  }
  const lib = join(home, 'lib')
  const site = join(lib, readdirSync(lib)[0] ?? '', 'site-packages')
  readForOlderPython(site)
  writeFileSync(done, '')
  return site
}

/**
 * It asks for Python 3.12, for the sake of one f-string with quotes within quotes; Debian 12 has 3.11. The same
 * expression in older words changes nothing else.
 */
function readForOlderPython(site: string): void {
  const file = join(site, 'focus_validator/config_objects/focus_to_duckdb_converter.py')
  const newer = String.raw`f"'{k.replace('\"', '\"\"')}'" for k`
  const older = String.raw`"'" + k.replace('"', '""') + "'" for k`
  writeFileSync(file, readFileSync(file, 'utf8').replace(newer, older))
}

/** The rules that refuse a file, and how many there are that looked at it. */
function validate(
  site: string,
  file: string,
): { readonly refused: readonly string[]; readonly told: string } {
  const { stdout, stderr } = run(
    join(site, '../../../bin/focus-validator'),
    [
      '--data-file',
      file,
      '--validate-version',
      '1.2',
      '--block-download',
      '--applicability-criteria',
      criteria.join(','),
    ],
    site,
  )
  const told = /^Total: .*$/m.exec(stdout)?.[0]
  if (told === undefined) throw new Error(`the validator did not come to an end: ${stderr}`)
  const refused = [...stdout.matchAll(/^\S+ (\S+): FAIL/gm)].map(([, rule = '']) => rule)
  return { refused: [...new Set(refused)].sort(), told }
}

async function exportInto(folder: string, version: string): Promise<string> {
  const file = join(folder, `focus-${version}.csv`)
  const period = ['--from', '2026-01-01', '--to', '2026-01-02T02:00:00Z']
  const names = ['--operator', 'Acme', '--host', 'Machines', '--account-name', 'prod']
  const where = ['--ledger', join(folder, 'ledger.db'), '--output', file]
  const { code, stderr } = await runSpillway(
    'export',
    'focus',
    '--focus-version',
    version,
    ...period,
    ...names,
    ...where,
  )
  if (code !== 0) throw new Error(stderr)
  return file
}

function judge(what: string, site: string, file: string, wanted: readonly string[]): boolean {
  const { refused, told } = validate(site, file)
  const more = refused.filter((rule) => !wanted.includes(rule))
  const less = wanted.filter((rule) => !refused.includes(rule))
  say(`${what}: ${told}`)
  if (refused.length > 0) say(`  refused: ${refused.join(', ')}`)
  if (more.length > 0) say(`  ✗ not in docs/guides/bills.md: ${more.join(', ')}`)
  if (less.length > 0) say(`  ✗ in docs/guides/bills.md, and not refused: ${less.join(', ')}`)
  return more.length + less.length === 0
}

const { signal } = new AbortController()
const folder = mkdtempSync(join(tmpdir(), 'spillway-focus-'))
try {
  const site = await install(signal)
  if (site === undefined) process.exitCode = 1
  else {
    const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
    await ledger.keepPriceBooks(shippedPriceBooks, signal)
    await ledger.append(shopLedger(Date.UTC(2026, 0, 1)), signal)
    await ledger.close()
    let good = true
    for (const [version, wanted] of Object.entries(expected)) {
      const file = await exportInto(folder, version)
      good = judge(`FOCUS ${version}, by the rules of 1.2`, site, file, wanted) && good
    }
    const text = readFileSync(join(folder, 'focus-1.2.csv'), 'utf8')
    const wrong = join(folder, 'wrong.csv')
    writeFileSync(wrong, text.replaceAll(',USD,', ',Dollar,').replaceAll(',Compute,', ',Computing,'))
    const { refused } = validate(site, wrong)
    const caught = ['BillingCurrency', 'ServiceCategory'].every((column) =>
      refused.some((rule) => rule.startsWith(column)),
    )
    say(`A file that is wrong on purpose: ${caught ? 'refused' : '✗ not refused'} (${refused.join(', ')})`)
    if (!good || !caught) process.exitCode = 1
  }
} finally {
  rmSync(folder, { recursive: true })
}
