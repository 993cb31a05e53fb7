/**
 * A thread that checks a ledger: the one that writes is not held up, nor are leases, probes and streams by the hashes of a
 * whole log.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../model/clock.ts'
import { SpillwayError } from '../../model/errors.ts'
import type { CheckThreadData } from './check-messages.ts'
import { checkPlace } from './check-place.ts'

/** Between two pages: stops when it is told to, and rests as long as it has worked, if it is to. */
class Breath {
  readonly #stop: Int32Array
  readonly #rests: boolean
  #sinceMs = systemClock.monotonicMs()

  constructor({ stop, request }: CheckThreadData) {
    this.#stop = new Int32Array(stop)
    this.#rests = request.rests
  }

  take(): void {
    const workedMs = systemClock.monotonicMs() - this.#sinceMs
    if (this.#rests) Atomics.wait(this.#stop, 0, 0, workedMs)
    if (Atomics.load(this.#stop, 0) !== 0) throw new SpillwayError('LedgerUnavailable', 'the check was ended')
    this.#sinceMs = systemClock.monotonicMs()
  }
}

if (!parentPort) throw new Error('check-thread.ts runs as a worker thread only')
const data = workerData as CheckThreadData
const breath = new Breath(data)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- to a thread, which has no origin
parentPort.postMessage(await checkPlace(data.request, () => breath.take()))
