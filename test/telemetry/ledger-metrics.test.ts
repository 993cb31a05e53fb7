import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import {
  registerClockSteps,
  registerLedgerState,
  type LedgerSample,
} from '../../src/telemetry/ledger-metrics.ts'

async function values(sample: LedgerSample): Promise<string[]> {
  const registry = new Registry()
  registerLedgerState(registry, () => sample)
  registerClockSteps(registry, () => 2)
  return (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

it('show a ledger that is well, and when it was last checked', async () => {
  expect(await values({ isReady: true, isDamaged: false, checkedAtSeconds: 1_767_225_600.5 })).toEqual([
    'spillway_ledger_ready 1',
    'spillway_ledger_damaged 0',
    'spillway_ledger_checked_timestamp_seconds 1767225600.5',
    'spillway_clock_steps_total 2',
  ])
})

it('show one that is damaged, and make up no time of a check that was not made', async () => {
  expect(
    (await values({ isReady: false, isDamaged: true, checkedAtSeconds: undefined })).slice(0, 3),
  ).toEqual([
    'spillway_ledger_ready 0',
    'spillway_ledger_damaged 1',
    'spillway_ledger_checked_timestamp_seconds Nan',
  ])
})
