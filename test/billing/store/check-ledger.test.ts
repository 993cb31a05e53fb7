import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkLedger } from '../../../src/billing/store/check-ledger.ts'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { fakeEpochMs as start } from '../../support/fake-clock.ts'
import { lifeOf } from '../../support/usage-events.ts'

const never = new AbortController().signal
let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-check-'))
  file = join(folder, 'ledger.db')
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

function check(signal: AbortSignal) {
  const location = { kind: 'sqlite', file } as const
  const whole = { after: undefined, written: undefined, rests: true }
  return checkLedger({ location, environment: {}, nowMs: start, ...whole }, signal)
}

describe('a check in a thread of its own', { timeout: 60_000 }, () => {
  it('goes on beside whoever writes, and finds nothing wrong in the midst of it', async () => {
    const ledger = await openSqliteLedger({ file })
    const over = new AbortController()
    let appended = 0
    const writing = (async () => {
      while (!over.signal.aborted) {
        await ledger.append(lifeOf(`w${appended}`, { startMs: start, endMs: start + 1 }), never)
        appended += 1
      }
    })()
    const { report } = await check(never)
    over.abort()
    await writing
    await ledger.close()
    expect(report.problems).toEqual([])
    expect(report.events).toBeLessThan(3 * appended)
  })

  it('ends with the signal, and its thread with it; of what it found it tells in our words', async () => {
    await (await openSqliteLedger({ file })).close()
    const over = new AbortController()
    const checking = check(over.signal)
    over.abort(new DOMException('enough', 'AbortError'))
    await expect(checking).rejects.toMatchObject({ name: 'AbortError' })
    await expect(check(over.signal)).rejects.toMatchObject({ name: 'AbortError' })
    await rm(file)
    await expect(check(never)).rejects.toMatchObject({
      code: 'LedgerCorrupt',
      message: expect.stringMatching(/not there any more/),
    })
  })
})
