import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exportLedger } from '../../src/billing/export-ledger.ts'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { runCli } from '../../src/cli/program.ts'
import { FakeClock, fakeEpochMs as start } from '../support/fake-clock.ts'
import { askPython, pythonIsMissing, type PythonLine } from '../support/python-oracle.ts'
import { closedFact, lifeOf, openedFact, smallSpec, terms, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const nowMs = start + 20_000_000
const hourly = 'flat-demo'

describe('ledger export', () => {
  let folder: string
  let file: string
  let ledger: LedgerStore
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-export-'))
    file = join(folder, 'ledger.db')
    ledger = await openSqliteLedger({ file })
    await ledger.keepPriceBooks(shippedPriceBooks, never)
  })
  afterEach(async () => {
    await ledger.close()
    await rm(folder, { recursive: true })
  })
  const exported = async (): Promise<string> => {
    let text = ''
    for await (const part of exportLedger(ledger, never)) text += part
    return text
  }

  /** One of each thing that can happen to a bill. */
  async function fill(): Promise<void> {
    const bigger = { ...smallSpec, cpuMillis: 3000n }
    const resizing = { kind: 'RESIZING', generation: 2, terms: terms(bigger, hourly) } as const
    await ledger.append(
      [
        ...lifeOf('whole', { startMs: start + 7, endMs: start + 9_000_003 }),
        ...lifeOf('open', { startMs: start + 1_234_567, spec: { ...smallSpec, gpus: 2n } }),
        ...lifeOf('resized', { startMs: start, endMs: start + 8_000_001, priceBook: hourly }),
        testEvent('resized', { atMs: start + 4_000_123, fact: resizing }),
        testEvent('resized', { atMs: start + 4_000_456, fact: { kind: 'RESIZED', generation: 2 } }),
        ...lifeOf('replaced', { startMs: start }),
        testEvent('replaced', { atMs: start + 5_000, fact: { kind: 'OBSERVED', bucket: 5 } }),
        testEvent('replaced', { atMs: start + 9_000, incarnation: 1, fact: openedFact('s1') }),
        testEvent('replaced', { atMs: start + 9_999, incarnation: 1, fact: closedFact('exact') }),
        testEvent('whole', {
          atMs: start + 60,
          source: 'person',
          fact: { kind: 'ADJUSTED', reference: 'r', reason: 'a gift', amount: '-0.0012', currency: 'USD' },
        }),
      ],
      never,
    )
  }

  it('has the events as they are kept, then the books, then how many there were', async () => {
    await fill()
    const lines = (await exported()).trimEnd().split('\n')
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    const types = records.map(({ type }) => type)
    const stored = await ledger.events({ afterSeq: 0, limit: 100 }, never)
    expect(types).toEqual([
      'ledger',
      ...stored.map(() => 'event'),
      ...shippedPriceBooks.map(() => 'priceBook'),
      'end',
    ])
    expect(records.slice(1, 1 + stored.length).map(({ body, hash }) => ({ body, hash }))).toEqual(
      stored.map(({ body, hash }) => ({ body, hash })),
    )
    expect(records.at(-1)).toEqual({ type: 'end', events: stored.length, headHash: stored.at(-1)?.hash })
  })

  it('is the same twice, and begins later with what it was before', async () => {
    await fill()
    const before = await exported()
    expect(await exported()).toBe(before)
    await ledger.append(lifeOf('later', { startMs: start }), never)
    const events = before.slice(0, before.indexOf('{"book"'))
    expect((await exported()).startsWith(events)).toBe(true)
  })

  it('goes page by page', async () => {
    const many = Array.from({ length: 700 }, (_, index) =>
      lifeOf(`pod-${index}`, { startMs: start + index, endMs: start + index + 1000 }),
    ).flat()
    await ledger.append(many, never)
    const parts = []
    for await (const part of exportLedger(ledger, never)) parts.push(part)
    // Three pages of events at most a thousand long, between header, books and end.
    expect(parts.filter((part) => part.startsWith('{"type":"event"')).map(linesIn)).toEqual([1000, 1000, 100])
  })

  it('is what the command prints of a ledger file', async () => {
    await fill()
    const text = await exported()
    const told = { stdout: '' }
    const code = await runCli(['ledger', 'export', '--ledger', file], {
      environment: {},
      clock: new FakeClock(),
      random: () => 0.5,
      stdout: { write: (part) => (told.stdout += part) },
      stderr: { write: () => undefined },
      signal: never,
    })
    expect({ code, ...told }).toEqual({ code: 0, stdout: text })
  })

  it('is enough for another program to come to the same bill', async (context) => {
    const missing = pythonIsMissing()
    if (missing) context.skip(missing)
    await fill()
    const theirs = await askPython(exportLedger(ledger, never), { nowMs })
    const ours = await bill(ledger, { fromMs: 0, toMs: nowMs, by: 'pod', nowMs, explain: true }, never)
    expect(theirs.problems).toEqual([])
    const lines = (ours.pods ?? []).flatMap(({ podUid, incarnation, lines: own }) =>
      own.map(({ hour, sku, resource, exact }) =>
        [podUid, incarnation, sku ?? null, resource, Date.parse(hour), exact].join(' '),
      ),
    )
    expect(lines.length).toBeGreaterThan(15)
    expect(theirs.lines.map(lineText).sort()).toEqual(lines.sort())
    expect(theirs.totals).toEqual(
      Object.fromEntries(ours.totals.map(({ currency, amount }) => [currency, nanosOf(amount)])),
    )
  })

  it('lets another program see that it was tampered with', async (context) => {
    const missing = pythonIsMissing()
    if (missing) context.skip(missing)
    await fill()
    const whole = await exported()
    const problems = tampered(whole).map(async ([what, text]) => {
      expect(text, what).not.toBe(whole)
      return [what, (await askPython([text], { nowMs })).problems.join('\n')]
    })
    expect(Object.fromEntries(await Promise.all(problems))).toEqual({
      'a changed time': expect.stringMatching(/event 2 was changed/),
      'a changed body': expect.stringMatching(/event 1 was changed/),
      'a missing line': expect.stringMatching(/event 3 is missing/),
      'a cut file': expect.stringMatching(/cut off/),
      'a missing last event': expect.stringMatching(/the end does not fit/),
    })
  })
})

function tampered(text: string): [string, string][] {
  return [
    ['a changed time', text.replace(`"atMs":${start + 7},`, `"atMs":${start + 8},`)],
    ['a changed body', text.replace('2048', '1024')],
    ['a missing line', text.replace(/\{"type":"event","seq":3,.*\n/, '')],
    ['a cut file', text.slice(0, text.indexOf('{"type":"end"'))],
    ['a missing last event', withoutLast(text)],
  ]
}

function withoutLast(text: string): string {
  const last = text.slice(text.lastIndexOf('{"type":"event"'))
  return text.replace(last.slice(0, last.indexOf('\n') + 1), '')
}

function linesIn(text: string): number {
  return text.split('\n').length - 1
}

function lineText({ podUid, incarnation, sku, resource, hourMs, exact }: PythonLine): string {
  return [podUid, incarnation, sku, resource, hourMs, exact].join(' ')
}

/** `0.5` is `500000000`. */
function nanosOf(amount: string): string {
  const [whole = '', fraction = ''] = amount.split('.')
  return String(BigInt(`${whole}${fraction.padEnd(9, '0')}`))
}
