import { Counter, Gauge, type Registry } from 'prom-client'

/** What the ledger has, for gauges and counters. Floats: for charts and alerts, never for money that is owed. */
export interface LedgerReading {
  readonly openIntervals: number
  /** Of these, those that nobody has seen for a while: what became of them is not known. */
  readonly unreconciled: number
  /** Since the one that was seen least lately was seen. 0: none is open. */
  readonly lagSeconds: number
  readonly usage: readonly UsageSample[]
  readonly spend: readonly SpendSample[]
}

/** Since the ledger began. */
export interface UsageSample {
  readonly namespace: string
  readonly pool: string
  readonly coreSeconds: number
  readonly gibSeconds: number
  readonly gpuSeconds: number
}

export interface SpendSample {
  readonly namespace: string
  readonly pool: string
  readonly currency: string
  readonly amount: number
}

type Read = () => Promise<LedgerReading | undefined>

/** `read` answers undefined while the ledger cannot be read: what is known of it is then left out, not made up. */
export function registerUsage(registry: Registry, read: Read): void {
  const registers = [registry]
  for (const [name, help, valueOf] of gauges) {
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const reading = await read()
        this.set(reading ? valueOf(reading) : Number.NaN)
      },
    })
  }
  for (const [name, help, valueOf] of counters) {
    new Counter({
      name,
      help: `${help}; ${informative}`,
      labelNames: ['namespace', 'pool'],
      registers,
      async collect() {
        const reading = await read()
        this.reset()
        for (const sample of reading?.usage ?? []) {
          this.inc({ namespace: sample.namespace, pool: sample.pool }, valueOf(sample))
        }
      },
    })
  }
  new Counter({
    name: 'spillway_billed_spend_total',
    help: `What that cost, without corrections, in units of the currency; ${informative}`,
    labelNames: ['namespace', 'pool', 'currency'],
    registers,
    async collect() {
      const reading = await read()
      this.reset()
      for (const { namespace, pool, currency, amount } of reading?.spend ?? []) {
        this.inc({ namespace, pool, currency }, amount)
      }
    },
  })
}

const informative = 'informative, the bill has the exact figure'

const gauges: readonly (readonly [string, string, (reading: LedgerReading) => number])[] = [
  [
    'spillway_ledger_open_intervals',
    'Intervals of the ledger that are being billed',
    ({ openIntervals }) => openIntervals,
  ],
  [
    'spillway_ledger_unreconciled',
    'Intervals that are being billed and that nobody has seen for five minutes',
    ({ unreconciled }) => unreconciled,
  ],
  [
    'spillway_ledger_lag_seconds',
    'Since the interval that was seen least lately of all that are being billed was seen',
    ({ lagSeconds }) => lagSeconds,
  ],
]

const counters: readonly (readonly [string, string, (sample: UsageSample) => number])[] = [
  ['spillway_billed_core_seconds_total', 'CPU cores × seconds billed', ({ coreSeconds }) => coreSeconds],
  [
    'spillway_billed_memory_gib_seconds_total',
    'GiB of memory × seconds billed',
    ({ gibSeconds }) => gibSeconds,
  ],
  ['spillway_billed_gpu_seconds_total', 'GPUs × seconds billed', ({ gpuSeconds }) => gpuSeconds],
]
