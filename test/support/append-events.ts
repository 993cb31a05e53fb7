/** A process of its own that appends events to a ledger file for ever, and prints each id once it is durable. */
import { writeSync } from 'node:fs'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { fakeEpochMs } from './fake-clock.ts'
import { lifeOf } from './usage-events.ts'

const [, , file = ''] = process.argv
const { signal } = new AbortController()
const ledger = await openSqliteLedger({ file })

async function appendLife(index: number): Promise<void> {
  const startMs = fakeEpochMs + index
  const events = lifeOf(`pod-${index}`, { startMs, endMs: startMs + 1000 })
  for (const event of events) {
    await ledger.append([event], signal)
    writeSync(1, `${event.id}\n`)
  }
}

for (let index = 0; ; index += 4) {
  await Promise.all([0, 1, 2, 3].map((offset) => appendLife(index + offset)))
}
