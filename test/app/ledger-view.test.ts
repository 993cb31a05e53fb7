import { expect, it } from 'vitest'
import { ledgerSample, ledgerView } from '../../src/app/ledger-view.ts'
import { LedgerHealth } from '../../src/billing/ledger-health.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

it('shows a ledger as its health is, in words and in numbers', () => {
  const health = new LedgerHealth({ clock: new FakeClock(), log: silentLog() })
  expect(ledgerView(health)).toMatchObject({ status: 'Unknown', checkedAtMs: undefined })
  expect(ledgerSample(health)).toEqual({ isReady: true, isDamaged: false, checkedAtSeconds: undefined })
  health.checked({ scope: 'all', atMs: 7_500, events: 1, problems: [] })
  expect(ledgerView(health)).toMatchObject({ reason: 'EveryClaimHolds', checkedAtMs: 7_500 })
  expect(ledgerSample(health)).toEqual({ isReady: true, isDamaged: false, checkedAtSeconds: 7.5 })
  health.failed(new SpillwayError('LedgerCorrupt', 'page 7 is torn'), { isWrite: false })
  expect(ledgerView(health)).toMatchObject({ status: 'False', reason: 'LedgerCorrupt' })
  expect(ledgerSample(health)).toEqual({ isReady: false, isDamaged: true, checkedAtSeconds: 7.5 })
})
