import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { registerUsage, type LedgerReading } from '../../src/telemetry/usage-metrics.ts'

const reading: LedgerReading = {
  openIntervals: 3,
  unreconciled: 1,
  lagSeconds: 61.5,
  usage: [
    { namespace: 'shop', pool: 'burst', coreSeconds: 1200.5, gibSeconds: 2401, gpuSeconds: 0 },
    { namespace: 'etl', pool: 'night', coreSeconds: 4, gibSeconds: 8, gpuSeconds: 600 },
  ],
  spend: [
    { namespace: 'shop', pool: 'burst', currency: 'USD', amount: 0.25 },
    { namespace: 'etl', pool: 'night', currency: 'CNY', amount: 7 },
  ],
}

async function exposed(read: () => Promise<LedgerReading | undefined>): Promise<string> {
  const registry = new Registry()
  registerUsage(registry, read)
  // What Prometheus scrapes twice must be the same: counters are set, and never added to.
  await registry.metrics()
  return await registry.metrics()
}

test('the ledger is exposed by namespace and pool, and says that it is no bill', async () => {
  expect(await exposed(() => Promise.resolve(reading)))
    .toBe(`# HELP spillway_ledger_open_intervals Intervals of the ledger that are being billed
# TYPE spillway_ledger_open_intervals gauge
spillway_ledger_open_intervals 3

# HELP spillway_ledger_unreconciled Intervals that are being billed and that nobody has seen for five minutes
# TYPE spillway_ledger_unreconciled gauge
spillway_ledger_unreconciled 1

# HELP spillway_ledger_lag_seconds Since the interval that was seen least lately of all that are being billed was seen
# TYPE spillway_ledger_lag_seconds gauge
spillway_ledger_lag_seconds 61.5

# HELP spillway_billed_core_seconds_total CPU cores × seconds billed; informative, the bill has the exact figure
# TYPE spillway_billed_core_seconds_total counter
spillway_billed_core_seconds_total{namespace="shop",pool="burst"} 1200.5
spillway_billed_core_seconds_total{namespace="etl",pool="night"} 4

# HELP spillway_billed_memory_gib_seconds_total GiB of memory × seconds billed; informative, the bill has the exact figure
# TYPE spillway_billed_memory_gib_seconds_total counter
spillway_billed_memory_gib_seconds_total{namespace="shop",pool="burst"} 2401
spillway_billed_memory_gib_seconds_total{namespace="etl",pool="night"} 8

# HELP spillway_billed_gpu_seconds_total GPUs × seconds billed; informative, the bill has the exact figure
# TYPE spillway_billed_gpu_seconds_total counter
spillway_billed_gpu_seconds_total{namespace="shop",pool="burst"} 0
spillway_billed_gpu_seconds_total{namespace="etl",pool="night"} 600

# HELP spillway_billed_spend_total What that cost, without corrections, in units of the currency; informative, the bill has the exact figure
# TYPE spillway_billed_spend_total counter
spillway_billed_spend_total{namespace="shop",pool="burst",currency="USD"} 0.25
spillway_billed_spend_total{namespace="etl",pool="night",currency="CNY"} 7
`)
})

test('while the ledger cannot be read nothing is made up', async () => {
  const lines = (await exposed(() => Promise.resolve(undefined)))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  expect(lines).toEqual([
    'spillway_ledger_open_intervals Nan',
    'spillway_ledger_unreconciled Nan',
    'spillway_ledger_lag_seconds Nan',
  ])
})
