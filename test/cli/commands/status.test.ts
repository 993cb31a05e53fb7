import { expect, it } from 'vitest'
import { formatStatus } from '../../../src/cli/commands/status.ts'
import type { LedgerView, StatusView } from '../../../src/console/api/contract.ts'

const well: LedgerView = { status: 'True', reason: 'EveryClaimHolds', message: 'm', checkedAtMs: 40_000 }

function lastLine(ledger: LedgerView): string {
  const status: StatusView = {
    clusterName: 'c',
    version: '0',
    atMs: 100_000,
    pools: [],
    nodes: [],
    pods: [],
    spendPerHour: [],
    ledgerTrouble: '',
    ledger,
  }
  return formatStatus(status).trimEnd().split('\n').at(-1) ?? ''
}

it('says when every claim about the ledger last held', () => {
  expect(lastLine(well)).toBe('Ledger: every claim held 1m00s ago')
})

it('says so when it has not been checked yet', () => {
  const unknown = { status: 'Unknown', reason: 'NotCheckedYet', message: 'not checked yet' } as const
  expect(lastLine({ ...unknown, checkedAtMs: undefined })).toBe('Ledger: not checked yet')
})

it('says what is wrong, also when that was found by no check', () => {
  const corrupt = { status: 'False', reason: 'LedgerCorrupt', message: 'event 3 was changed' } as const
  const line = 'Ledger: LedgerCorrupt: event 3 was changed'
  expect(lastLine({ ...corrupt, checkedAtMs: undefined })).toBe(line)
  expect(lastLine({ ...corrupt, checkedAtMs: 5 })).toBe(line)
})
