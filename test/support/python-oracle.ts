import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Bill } from '../../src/billing/invoice.ts'

/** What billing_oracle.py says that an exported ledger comes to. */
export interface PythonBill {
  readonly events: number
  readonly headHash: string
  readonly problems: readonly string[]
  readonly intervals: readonly {
    readonly podUid: string
    readonly incarnation: number
    readonly start: number
    readonly end: number | null
    readonly endKnown: string
  }[]
  readonly lines: readonly PythonLine[]
  /** Nano-units by currency. */
  readonly totals: Readonly<Record<string, string>>
  /** As each has to be. */
  readonly seals: readonly {
    readonly number: number
    readonly fromMs: number
    readonly toMs: number
    readonly lines: { readonly count: number; readonly hash: string }
    readonly adjustments: { readonly count: number; readonly hash: string }
    readonly sums: readonly Readonly<Record<'currency' | 'lines' | 'adjustments' | 'total', string>>[]
  }[]
  /** What `totals` would be if nothing had been sealed and corrected. */
  readonly unsealed: Readonly<Record<string, string>>
}

export interface PythonLine {
  readonly podUid: string
  readonly incarnation: number
  readonly sku: string | null
  readonly resource: string
  readonly hourMs: number
  /** `num/den` in lowest terms. */
  readonly exact: string
  readonly nanos: string
  readonly currency: string
}

/** Why it cannot be asked here; undefined when it can. */
export function pythonIsMissing(): string | undefined {
  const { status, error } = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))'])
  if (error) return `the second oracle is not asked: no python3 on this machine (${error.message})`
  return status === 0 ? undefined : 'the second oracle is not asked: it wants Python 3.8 or newer'
}

/** Open intervals are priced up to `nowMs`. Rejects with what Python printed when it fails. */
export async function askPython(
  exported: AsyncIterable<string> | Iterable<string>,
  { nowMs }: { readonly nowMs: number },
): Promise<PythonBill> {
  const [bill] = await askPythonOfEach([exported], { nowMs })
  if (!bill) throw new Error('the second oracle said nothing')
  return bill
}

/** Of many ledgers at once: a process of its own for each would take longer than what it does. */
export async function askPythonOfEach(
  exports: readonly (AsyncIterable<string> | Iterable<string>)[],
  { nowMs }: { readonly nowMs: number },
): Promise<readonly PythonBill[]> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-export-'))
  try {
    const files: string[] = []
    for (const [index, exported] of exports.entries()) {
      const file = join(folder, `ledger-${index}.ndjson`)
      await pipeline(Readable.from(exported), createWriteStream(file))
      files.push(file)
    }
    const script = join(import.meta.dirname, 'billing_oracle.py')
    const child = spawn('python3', ['-I', '-S', script, '--now', String(nowMs), ...files], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const told = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (told.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (told.stderr += text))
    await once(child, 'close')
    const bills = told.stdout.split('\n').filter((text) => text !== '')
    if (bills.length < files.length) throw new Error(`the second oracle failed: ${told.stderr}`)
    return bills.map((text) => JSON.parse(text) as PythonBill)
  } finally {
    await rm(folder, { recursive: true })
  }
}

export interface ComparableBill {
  /** One a line of the bill, sorted. */
  readonly lines: readonly string[]
  /** Nano-units by currency; what comes to nothing is left out. */
  readonly totals: Readonly<Record<string, string>>
}

export function theirBill({ lines, totals }: PythonBill): ComparableBill {
  return {
    lines: lines
      .map(({ podUid, incarnation, sku, resource, hourMs, exact }) =>
        [podUid, incarnation, sku, resource, hourMs, exact].join(' '),
      )
      .sort(),
    totals: withoutNothing(Object.entries(totals)),
  }
}

/** A bill by Pod, explained. */
export function ourBill({ pods = [], totals }: Bill): ComparableBill {
  return {
    lines: pods
      .flatMap(({ podUid, incarnation, lines }) =>
        lines.map(({ hour, sku, resource, exact }) =>
          [podUid, incarnation, sku ?? null, resource, Date.parse(hour), exact].join(' '),
        ),
      )
      .sort(),
    totals: withoutNothing(totals.map(({ currency, amount }) => [currency, nanosOf(amount)])),
  }
}

function withoutNothing(totals: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries(totals.filter(([, nanos]) => nanos !== '0'))
}

/** `-0.5` is `-500000000`. */
function nanosOf(amount: string): string {
  const [whole = '', fraction = ''] = amount.split('.')
  return String(BigInt(`${whole}${fraction.padEnd(9, '0')}`))
}
