/** A process of its own that writes a ledger. It appends one event for each line that it reads, and prints how that went. */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { SpillwayError } from '../../src/model/errors.ts'
import { fakeEpochMs } from './fake-clock.ts'
import { openLedger } from './open-ledger.ts'
import { openedFact, testEvent } from './usage-events.ts'

const [, , place = ''] = process.argv
const { signal } = new AbortController()
const ledger = await openLedger(place)
writeSync(1, 'open\n')
for await (const pod of createInterface({ input: process.stdin })) {
  const event = testEvent(pod, { atMs: fakeEpochMs, fact: openedFact('s1') })
  try {
    writeSync(1, `${(await ledger.append([event], signal)).join()}\n`)
  } catch (error) {
    writeSync(1, `${error instanceof SpillwayError ? error.code : String(error)}\n`)
  }
}
await ledger.close()
