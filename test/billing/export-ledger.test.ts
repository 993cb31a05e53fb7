import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { hourMs } from '../../src/billing/charges.ts'
import { exportLedger } from '../../src/billing/export-ledger.ts'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { genesisHash } from '../../src/billing/ledger-json.ts'
import { sealPeriod } from '../../src/billing/seal-period.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { runCli } from '../../src/cli/program.ts'
import type { Correction } from '../../src/model/usage.ts'
import { FakeClock, fakeEpochMs as start } from '../support/fake-clock.ts'
import { openMemoryLedger } from '../support/memory-ledger.ts'
import { askPython, askPythonOfEach, ourBill, pythonIsMissing, theirBill } from '../support/python-oracle.ts'
import { closedFact, lifeOf, openedFact, smallSpec, terms, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const nowMs = start + 20_000_000
const hourly = 'flat-demo'
const eci = 'alibaba-eci-intl-2025-11-04'

describe('ledger export', () => {
  let ledger: LedgerStore
  beforeEach(async () => {
    ledger = await openMemoryLedger()
    await ledger.keepPriceBooks(shippedPriceBooks, never)
    return () => ledger.close()
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
        ...lifeOf('small', { startMs: start + 11, endMs: start + 5_000_000, priceBook: eci }),
        ...lifeOf('tiny', { startMs: start + 11, endMs: start + 400_000, priceBook: eci }),
        ...lifeOf('spot', {
          startMs: start,
          endMs: start + 77_777,
          spec: { ...smallSpec, purchase: 'spot' },
        }),
        ...lifeOf('amd', { startMs: start, endMs: start + 88_888, spec: { ...smallSpec, cpuType: 'amd' } }),
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

  const seal = (toMs: number) => sealPeriod(ledger, { toMs, nowMs: toMs, acceptUncertain: true }, never)

  /** Two periods, each told more of when it was sealed, by every kind of late news. */
  async function fillAndSeal(): Promise<void> {
    await fill()
    await seal(start + hourMs)
    const seen = { kind: 'OBSERVED', bucket: 6 } as const
    await ledger.append([testEvent('replaced', { atMs: start + 6_000, fact: seen })], never)
    await ledger.append(
      [testEvent('open', { atMs: start + 5 * hourMs - 7, fact: closedFact('estimated') })],
      never,
    )
    await seal(start + 2 * hourMs)
    const smaller = { ...smallSpec, cpuMillis: 250n }
    const resizing = { kind: 'RESIZING', generation: 3, terms: terms(smaller, hourly) } as const
    const late = [
      testEvent('resized', { atMs: start + 1_000_000, fact: resizing }),
      testEvent('resized', { atMs: start + 1_000_500, fact: { kind: 'RESIZED', generation: 3 } }),
      testEvent('open', { atMs: start + 4_000_000, fact: closedFact('exact') }),
      testEvent('replaced', { atMs: start + 8_000, fact: closedFact('recorded') }),
      ...lifeOf('untold', { startMs: start + 3_000_000, endMs: start + 9_000_000, priceBook: eci }),
    ]
    for (const event of late) await ledger.append([event, event], never)
    const credit = {
      kind: 'ADJUSTED',
      reference: 'c',
      reason: 'slow',
      amount: '-1',
      currency: 'USD',
    } as const
    await ledger.append([testEvent('open', { atMs: start + 5, source: 'person', fact: credit })], never)
  }

  /** What the other program says of each text. */
  async function problemsOf(
    texts: readonly (readonly [string, string])[],
    whole = '',
  ): Promise<Record<string, string>> {
    for (const [what, text] of texts) expect(text, what).not.toBe(whole)
    const bills = await askPythonOfEach(
      texts.map(([, text]) => [text]),
      { nowMs },
    )
    return Object.fromEntries(texts.map(([what], index) => [what, (bills[index]?.problems ?? []).join('\n')]))
  }

  const bothBills = async () => {
    const asked = { fromMs: 0, toMs: nowMs, by: 'pod', nowMs, explain: true } as const
    const ours = ourBill(await bill(ledger, asked, never))
    return { ours, theirs: await askPython(exportLedger(ledger, never), { nowMs }) }
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
    expect(records.at(-1)).toEqual({
      type: 'end',
      events: stored.length,
      headHash: stored.at(-1)?.hash,
      seals: 0,
      sealHash: genesisHash,
    })
  })

  it('has each seal behind the last event that it covers', async () => {
    await sealPeriod(ledger, { fromMs: start - hourMs, toMs: start, nowMs: start }, never)
    await fill()
    const first = await seal(start + hourMs)
    await ledger.append(lifeOf('later', { startMs: start + 9_000_000 }), never)
    const second = await seal(start + 2 * hourMs)
    const third = await seal(start + 3 * hourMs)
    const records = (await exported())
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as Record<string, unknown>)
    const order = records.filter(({ type }) => type === 'event' || type === 'seal')
    const places = order.map(({ type, seq, number }) => (type === 'seal' ? `seal ${String(number)}` : seq))
    expect(places.filter((place, index) => typeof place === 'string' || index === 0)).toEqual([
      'seal 1',
      'seal 2',
      'seal 3',
      'seal 4',
    ])
    const sealed = order.filter(({ type }) => type === 'seal').map(({ head }) => head)
    expect(sealed.slice(1)).toEqual([first.head, second.head, third.head])
    for (const { head } of [first, second]) {
      expect(places[places.indexOf(head.seq) + 1]).toMatch(/^seal/)
    }
    expect(records.at(-1)).toMatchObject({ type: 'end', seals: 4, sealHash: third.hash })
  })

  it('begins with what it was before, also when a period was sealed since', async () => {
    await fill()
    const before = await exported()
    await seal(start + hourMs)
    expect((await exported()).startsWith(before.slice(0, before.indexOf('{"book"')))).toBe(true)
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

  it('is what the command prints of a ledger file', { timeout: 30_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'spillway-export-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const file = join(folder, 'ledger.db')
    await ledger.close()
    ledger = await openSqliteLedger({ file })
    await ledger.keepPriceBooks(shippedPriceBooks, never)
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
    const { theirs, ours } = await bothBills()
    expect(ours.lines.length).toBeGreaterThan(20)
    expect(theirBill(theirs)).toEqual(ours)
    expect(theirs.problems).toEqual([])
  })

  it('is enough for another program to come to each seal and correction', async (context) => {
    const missing = pythonIsMissing()
    if (missing) context.skip(missing)
    await fillAndSeal()
    const { theirs, ours } = await bothBills()
    expect(theirs.problems).toEqual([])
    expect(theirBill(theirs)).toEqual(ours)
    expect(theirs.totals).toEqual(theirs.unsealed)
    const seals = await ledger.seals(never)
    expect(theirs.seals.map(({ lines, adjustments }) => ({ lines, adjustments }))).toEqual(
      seals.map(({ lines, adjustments }) => ({ lines, adjustments })),
    )
    const adjusted = await ledger.adjustments({ fromMs: 0, toMs: nowMs }, never)
    expect(adjusted.filter(({ corrects }) => corrects).length).toBeGreaterThan(2)
  })

  it('lets another program see that it was tampered with', async (context) => {
    const missing = pythonIsMissing()
    if (missing) context.skip(missing)
    await fill()
    const whole = await exported()
    expect(await problemsOf(tampered(whole), whole)).toEqual({
      'a changed time': expect.stringMatching(/event 2 was changed/),
      'a changed body': expect.stringMatching(/event 1 was changed/),
      'a missing line': expect.stringMatching(/event 3 is missing/),
      'a cut file': expect.stringMatching(/cut off/),
      'a missing last event': expect.stringMatching(/the end does not fit/),
    })
  })

  it('lets another program see that a seal was tampered with', async (context) => {
    const missing = pythonIsMissing()
    if (missing) context.skip(missing)
    await fillAndSeal()
    const whole = await exported()
    expect(await problemsOf(tamperedSeals(whole), whole)).toEqual({
      'a changed sum': expect.stringMatching(/seal 2 was changed[^]*seal 2: its sums are/),
      'a missing seal': expect.stringMatching(
        /does not fit the seals[^]*corrects a period that was not sealed/,
      ),
      'a seal of another time': expect.stringMatching(/seal 1 was not made over the events before it/),
      'no seals': expect.stringMatching(/does not fit the seals[^]*corrects a period that was not sealed/),
    })
  })

  it('lets another program see a correction that is wrong', async (context) => {
    const missing = pythonIsMissing()
    if (missing) context.skip(missing)
    await fill()
    await seal(start + hourMs)
    const late = testEvent('whole', { atMs: start + 9_000_004, fact: closedFact('recorded') })
    const quantities = { cpuMilliMs: 0n, memoryMiBMs: 0n, gpuMs: 0n }
    const right = { fromMs: 0, toMs: start + hourMs, causedBy: late.id, quantities }
    const forged = (reference: string, amount: string, corrects: Correction) => {
      const common = { kind: 'ADJUSTED', reason: 'forged', currency: 'USD' } as const
      return testEvent('whole', { atMs: start + hourMs, fact: { ...common, reference, amount, corrects } })
    }
    await ledger.append(
      [
        late,
        forged('1', '0.000000001', right),
        forged('2', '0', { ...right, toMs: start + 9 * hourMs }),
        forged('3', '0', { ...right, causedBy: 'nobody' }),
        forged('4', '0', { ...right, quantities: { ...quantities, gpuMs: 1n } }),
      ],
      never,
    )
    const told = (await problemsOf([['forged', await exported()]]))['forged']
    expect(told).toMatch(/come to \[1, 0, 0, 0\].*must be \[0, 0, 0, 0\]/)
    expect(told).toMatch(/corrects a period that was not sealed/)
    expect(told).toMatch(/for what did not come too late/)
    expect(told).toMatch(/come to \[1, 0, 0, 1\].*must be \[0, 0, 0, 0\]/)
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

function tamperedSeals(text: string): [string, string][] {
  const [, second = ''] = text.split('\n').filter((part) => part.startsWith('{"type":"seal"'))
  return [
    ['a changed sum', text.replace(second, second.replace(/(lines\\":\\"\d+)/, '$19'))],
    ['a missing seal', text.replace(`${second}\n`, '')],
    [
      'a seal of another time',
      text.replace(/\{"type":"seal","number":1,.*\n/, '').replace(second, firstSeal(text) + second),
    ],
    ['no seals', text.replace(/\{"type":"seal",.*\n/g, '')],
  ]
}

function firstSeal(text: string): string {
  return /\{"type":"seal","number":1,.*\n/.exec(text)?.[0] ?? ''
}

function withoutLast(text: string): string {
  const last = text.slice(text.lastIndexOf('{"type":"event"'))
  return text.replace(last.slice(0, last.indexOf('\n') + 1), '')
}

function linesIn(text: string): number {
  return text.split('\n').length - 1
}
