import { expect, inject, test } from 'vitest'
import type { BillRow } from '../../src/billing/bill-rows.ts'
import type { LedgerReport } from '../../src/billing/verify.ts'
import type { StatusView } from '../../src/console/api/contract.ts'
import { runSpillway } from '../support/run-spillway.ts'

interface Told {
  readonly claims: readonly {
    readonly sentence: string
    readonly holds: boolean
    readonly evidence: string
  }[]
}

const cluster = inject('sharedCluster')

test('the whole story on real components: every claim holds, and the exit code says so', async () => {
  const { code, stdout, stderr } = await runSpillway('--json', '--name', cluster.name, 'demo')
  const { claims } = JSON.parse(stdout) as Told
  expect(
    claims.filter(({ holds }) => !holds),
    stderr,
  ).toEqual([])
  expect(claims.length).toBeGreaterThanOrEqual(15)
  expect(code).toBe(0)
})

test('afterwards the bill, the ledger and the status agree that nothing is held any more', async () => {
  const bill = await runSpillway(
    '--json',
    '--name',
    cluster.name,
    'bill',
    '--by',
    'workload',
    '--from',
    '-2h',
  )
  const { rows } = JSON.parse(bill.stdout) as { rows: readonly BillRow[] }
  const ours = rows.filter(({ namespace }) => namespace === 'demo')
  expect(ours.map(({ workload, pods, open }) => ({ workload, pods, open }))).toEqual(
    expect.arrayContaining([
      { workload: 'Deployment/web', pods: 6, open: false },
      { workload: 'Job/report', pods: 1, open: false },
    ]),
  )
  const verified = await runSpillway('--json', '--name', cluster.name, 'ledger', 'verify')
  expect((JSON.parse(verified.stdout) as LedgerReport).problems).toEqual([])
  expect(verified.code).toBe(0)
  const status = JSON.parse(
    (await runSpillway('--json', '--name', cluster.name, 'status')).stdout,
  ) as StatusView
  expect(status.nodes.map(({ name, ready }) => ({ name, ready }))).toEqual([
    { name: 'burst-0', ready: true },
    { name: 'burst-1', ready: true },
  ])
})
