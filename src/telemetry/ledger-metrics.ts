import { Counter, Gauge, type Registry } from 'prom-client'

/** How the ledger is. */
export interface LedgerSample {
  readonly isReady: boolean
  readonly isDamaged: boolean
  /** Of the last check, since the Unix epoch; undefined: none yet. */
  readonly checkedAtSeconds: number | undefined
}

export function registerLedgerState(registry: Registry, read: () => LedgerSample): void {
  const gauge = (name: string, help: string, value: (sample: LedgerSample) => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value(read()))
      },
    })
  }
  gauge('spillway_ledger_ready', '1 unless the ledger cannot be written or is damaged', ({ isReady }) =>
    Number(isReady),
  )
  gauge('spillway_ledger_damaged', '1 once the ledger was found to contradict itself', ({ isDamaged }) =>
    Number(isDamaged),
  )
  gauge(
    'spillway_ledger_checked_timestamp_seconds',
    'When the ledger was last checked against itself',
    ({ checkedAtSeconds }) => checkedAtSeconds ?? Number.NaN,
  )
}

export function registerClockSteps(registry: Registry, count: () => number): void {
  new Counter({
    name: 'spillway_clock_steps_total',
    help: 'How often the wall clock was set while Spillway ran',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(count())
    },
  })
}
