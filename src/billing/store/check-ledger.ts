import { once } from 'node:events'
import { SpillwayError } from '../../model/errors.ts'
import type { CheckAnswer, CheckedLedger, CheckRequest, CheckThreadData } from './check-messages.ts'
import { startThread } from './start-thread.ts'

// It reads a page after the other, and would let their remains pile up if it could. Should a ledger need more, the thread
// ends, which is said; the process goes on.
const resourceLimits = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 512 }

/**
 * Has a ledger checked, beside whoever writes it: all that is read is of one moment. LedgerCorrupt: something in it cannot
 * be read at all; LedgerUnavailable: it could not be checked; or the signal's reason: the thread ends by itself then.
 */
export async function checkLedger(request: CheckRequest, signal: AbortSignal): Promise<CheckedLedger> {
  signal.throwIfAborted()
  const stop = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const data: CheckThreadData = { request, stop }
  const { environment } = request
  const source = new URL('./check-thread.ts', import.meta.url)
  const worker = startThread({ source, data, environment, resourceLimits })
  const aborted = Promise.withResolvers<void>()
  const onAbort = (): void => {
    // It may be in the midst of a statement over a large table: nobody waits for that.
    worker.unref()
    aborted.resolve()
    const word = new Int32Array(stop)
    Atomics.store(word, 0, 1)
    Atomics.notify(word, 0)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  let answer: CheckAnswer | undefined
  let failure: Error | undefined
  worker.on('message', (message: CheckAnswer) => (answer = message))
  worker.on('error', (error) => (failure = error))
  try {
    await Promise.race([once(worker, 'exit'), aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
  signal.throwIfAborted()
  if (answer?.ok) return answer.checked
  const { code = 'LedgerUnavailable', message = failure?.message ?? 'the thread that checks it has ended' } =
    answer ?? {}
  throw new SpillwayError(code, message)
}
