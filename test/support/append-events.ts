/**
 * A process of its own that appends events to a ledger for ever, and prints each id once it is durable. Once another has
 * taken over it prints that error's code, and ends.
 */
import { writeSync } from 'node:fs'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { UsageEvent } from '../../src/model/usage.ts'
import { fakeEpochMs } from './fake-clock.ts'
import { openLedger } from './open-ledger.ts'
import { lifeOf } from './usage-events.ts'

const [, , place = ''] = process.argv
const { signal } = new AbortController()
const ledger = await openLedger(place)
await ledger.keepPriceBooks(shippedPriceBooks, signal)

async function appendLife(index: number): Promise<void> {
  const startMs = fakeEpochMs + index
  const events = lifeOf(`pod-${index}`, { startMs, endMs: startMs + 1000 })
  for (const event of events) {
    await append(event)
    writeSync(1, `${event.id}\n`)
  }
}

/** As the house does: what cannot be written is tried again, but for a ledger that another writes now. */
async function append(event: UsageEvent): Promise<void> {
  for (;;) {
    try {
      await ledger.append([event], signal)
      return
    } catch (error) {
      if (hasCode(error, 'LedgerUnavailable')) continue
      writeSync(1, `${hasCode(error, 'LedgerTakenOver') ? error.code : String(error)}\n`)
      process.exit(1)
    }
  }
}

for (let index = 0; ; index += 4) {
  await Promise.all([0, 1, 2, 3].map((offset) => appendLife(index + offset)))
}
