import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { askAdmin, readAdmin } from '../../../src/cli/admin-client.ts'
import { startAdminServer } from '../../../src/console/api/admin-server.ts'
import type {
  AdminReadModel,
  BillQuery,
  ExplainQuery,
  ExplainView,
} from '../../../src/console/api/contract.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import { silentLog } from '../../../src/telemetry/log.ts'

const never = new AbortController().signal
const asked: BillQuery[] = []
const explained: ExplainQuery[] = []
const written: object[] = []
const explanation: ExplainView = {
  namespace: 'shop',
  name: 'web',
  overflow: true,
  outcome: 'stays',
  because: 'b',
  pool: undefined,
  nodes: [],
  rules: [],
  says: [],
  foreign: [],
  leaves: 'never',
  movesBack: undefined,
  prices: [],
}
const model: AdminReadModel = {
  status: () =>
    Promise.resolve({
      clusterName: 'c',
      version: '0',
      atMs: 5,
      pools: [],
      nodes: [],
      pods: [],
      spendPerHour: [],
      ledgerTrouble: '',
      ledger: { status: 'True', reason: 'EveryClaimHolds', message: 'm', checkedAtMs: 3 },
    }),
  bill: (query) => {
    asked.push(query)
    return Promise.resolve({ total: 12_345_678_901_234_567_890n })
  },
  focus: async function* ({ version }) {
    yield await Promise.resolve(`${version}\r\n`)
    if (version === '1.4') throw new SpillwayError('LedgerCorrupt', 'a book is missing')
    yield 'x\r\n'
  },
  seal: (question) => {
    written.push(question)
    return Promise.resolve({ number: 1, sums: [{ currency: 'USD', total: 5n }] })
  },
  adjust: (question) => {
    written.push(question)
    return Promise.resolve({ outcome: 'appended' })
  },
  verify: () => Promise.reject(new SpillwayError('LedgerCorrupt', 'event 7: hash differs')),
  reconcile: () => Promise.resolve([{ case: 'over' }]),
  async *exportLedger() {
    yield '{"type":"ledger"}\n'
    yield '{"type":"end"}\n'
  },
  budgets: () => ({ atMs: 7, budgets: [] }),
  explain: (query, signal) => {
    signal.throwIfAborted()
    explained.push(query)
    if ('pod' in query) return Promise.resolve(explanation)
    return Promise.reject(new SpillwayError('NotFound', 'Pod shop/web is not there'))
  },
  check: () =>
    Promise.resolve({
      admission: { placement: 'policy', daemonSets: 'policy' },
      findings: [{ level: 'note', finding: 'f', remedy: 'r' }],
    }),
  metrics: () => Promise.resolve('a 1\n'),
}

let folder: string
let socket: string
let server: { close(): Promise<void> }
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-admin-'))
  socket = join(folder, 'admin.sock')
  server = await startAdminServer({ socket, model, log: silentLog() })
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

test('only the owner may connect', () => {
  expect(statSync(socket).mode & 0o777).toBe(0o600)
})

test('status is answered', async () => {
  expect(await askAdmin({ target: socket }, '/v1/status', {}, never)).toMatchObject({ clusterName: 'c' })
})

test('amounts cross as text, exactly', async () => {
  const bill = await askAdmin({ target: socket }, '/v1/bill', { fromMs: '1', toMs: '2', by: 'pod' }, never)
  expect(bill).toEqual({ total: '12345678901234567890' })
  const filter = { namespaces: [], pools: [], workloads: [], labels: [] }
  expect(asked.at(-1)).toEqual({ fromMs: 1, toMs: 2, by: ['pod'], filter })
})

test('a bill is asked for by several views, and for some Pods only', async () => {
  const period = { fromMs: '1', toMs: '2', explain: 'true' }
  const whose = {
    namespace: ['a', 'b'],
    pool: 'burst',
    workload: 'Job',
    label: ['team=a,b', 'tier'],
    pod: 'x',
  }
  await askAdmin({ target: socket }, '/v1/bill', { ...period, ...whose, by: 'day,label:team' }, never)
  expect(asked.at(-1)).toEqual({
    fromMs: 1,
    toMs: 2,
    by: ['day', 'label:team'],
    explain: true,
    filter: {
      namespaces: ['a', 'b'],
      pools: ['burst'],
      workloads: ['Job'],
      labels: ['team=a,b', 'tier'],
      pod: 'x',
    },
  })
})

test('an export comes piece by piece; one that breaks off is told, and never taken for whole', async () => {
  const query = { fromMs: '1', toMs: '2', operator: 'o', host: 'h' }
  const ask = async (version: string): Promise<string> => {
    let csv = ''
    const pieces = readAdmin({ target: socket }, '/v1/export/focus', { ...query, version }, never)
    for await (const piece of pieces) csv += piece
    return csv
  }
  expect(await ask('1.2')).toBe('1.2\r\nx\r\n')
  await expect(ask('1.4')).rejects.toMatchObject({ code: 'Unavailable' })
  await expect(ask('1.3')).rejects.toThrow(/version/)
})

test('a wrong query is refused with the field', async () => {
  await expect(
    askAdmin({ target: socket }, '/v1/bill', { fromMs: '1', toMs: '2', by: 'team' }, never),
  ).rejects.toThrow(/by/)
})

test('an error of the house is answered with its sentence', async () => {
  await expect(askAdmin({ target: socket }, '/v1/ledger/verify', {}, never)).rejects.toThrow(
    'event 7: hash differs',
  )
})

test('where nothing runs, that is what is said', async () => {
  await expect(askAdmin({ target: join(folder, 'none.sock') }, '/v1/status', {}, never)).rejects.toThrow(
    /no Spillway is running/,
  )
})

test('a Pod to explain is sent whole, and one of the cluster by name', async () => {
  const pod = { metadata: { name: 'web' }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  const ask = (body: object) => askAdmin({ target: socket }, '/v1/explain', { body }, never)
  expect(await ask({ pod, pool: 'burst' })).toMatchObject({ outcome: 'stays', because: 'b' })
  expect(explained.at(-1)).toEqual({ pod, pool: 'burst' })
  await expect(ask({ namespace: 'shop', name: 'web' })).rejects.toThrow('Pod shop/web is not there')
  await expect(ask({ pod: { metadata: {}, spec: {} } })).rejects.toThrow(/containers/)
  await expect(ask({ pool: 'burst' })).rejects.toThrow(/pod/)
})

test('what the check found is answered', async () => {
  expect(await askAdmin({ target: socket }, '/v1/check', {}, never)).toEqual({
    admission: { placement: 'policy', daemonSets: 'policy' },
    findings: [{ level: 'note', finding: 'f', remedy: 'r' }],
  })
})

test('the export comes as lines, as they are made', async () => {
  const texts = []
  for await (const text of readAdmin({ target: socket }, '/v1/ledger/export', {}, never)) texts.push(text)
  expect(texts.join('')).toBe('{"type":"ledger"}\n{"type":"end"}\n')
})

test('seals and adjusts what it is told to, and refuses what it does not know', async () => {
  const seal = { toMs: 7_200_000, acceptUncertain: true }
  expect(await askAdmin({ target: socket }, '/v1/ledger/seal', { body: seal }, never)).toEqual({
    number: 1,
    sums: [{ currency: 'USD', total: '5' }],
  })
  const adjustment = { pod: 'u', amount: '-1.5', reason: 'slow', author: 'ann' }
  await askAdmin({ target: socket }, '/v1/ledger/adjust', { body: adjustment }, never)
  expect(written).toEqual([seal, adjustment])
  await expect(askAdmin({ target: socket }, '/v1/ledger/seal', { body: {} }, never)).rejects.toThrow('toMs')
})
