/**
 * The thread that has the ledger open. SQLite is synchronous, and each commit waits for the disk; of PostgreSQL the
 * rows of a month have to be read and their hashes made: on the main thread that would hold up leases, probes and
 * streams.
 */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { systemClock } from '../../model/clock.ts'
import { hasCode } from '../../model/errors.ts'
import { claimRenewMs } from './claim.ts'
import { databaseKind, failureOf, type DatabaseKind } from './database-kind.ts'
import {
  openingId,
  renewalId,
  type LedgerCall,
  type OpenRequest,
  type WorkerAnswer,
  type WorkerRequest,
} from './ledger-messages.ts'
import type { OpenedLedger } from './opened-ledger.ts'

/** What one call reads is of one moment: a writer has its ledger to itself meanwhile, a reader has not. */
async function answer(opened: OpenedLedger, call: LedgerCall, isWriter: boolean): Promise<unknown> {
  const { ledger } = opened
  const method = ledger[call.method] as (...args: readonly unknown[]) => Promise<unknown>
  const work = (): Promise<unknown> => method.apply(ledger, [...call.args])
  return await (isWriter ? work() : opened.snapshot(work))
}

/** One job after the other: there is one connection, and transactions must not mingle. */
class Turns {
  #last: Promise<unknown> = Promise.resolve()

  take(job: () => Promise<void>): void {
    this.#last = this.#last.then(job)
  }
}

async function serve(port: MessagePort, request: OpenRequest): Promise<void> {
  const send = (message: WorkerAnswer): void => port.postMessage(message)
  const kind = await databaseKind(request.location)
  const isWriter = request.claimant !== undefined
  let opened: OpenedLedger
  try {
    opened = await kind.open(request)
  } catch (error) {
    send({ id: openingId, ok: false, ...failureOf(error, kind) })
    return
  }
  try {
    send({ id: openingId, ok: true, value: (await opened.ledger.head()).seq })
  } catch (error) {
    await opened.close()
    send({ id: openingId, ok: false, ...failureOf(error, kind) })
    return
  }
  const turns = new Turns()
  const stopRenewing = isWriter ? keepRenewing({ opened, kind, turns, send }) : () => undefined
  port.on('message', ({ id, call }: WorkerRequest) => {
    turns.take(async () => {
      try {
        if (call) {
          await opened.ready()
          send({ id, ok: true, value: await answer(opened, call, isWriter) })
          return
        }
        stopRenewing()
        await opened.close()
        send({ id, ok: true, value: undefined })
      } catch (error) {
        send({ id, ok: false, ...failureOf(error, kind) })
      }
      if (!call) port.close()
    })
  })
}

interface Renewing {
  readonly opened: OpenedLedger
  readonly kind: DatabaseKind
  readonly turns: Turns
  readonly send: (message: WorkerAnswer) => void
}

/** Answers how to end it. */
function keepRenewing({ opened, kind, turns, send }: Renewing): () => void {
  let cancel = (): void => undefined
  let ended = false
  const renew = async (): Promise<void> => {
    if (ended) return
    try {
      await opened.ready()
      await opened.renew()
      send({ id: renewalId, ok: true, value: undefined })
    } catch (error) {
      send({ id: renewalId, ok: false, ...failureOf(error, kind) })
      // Else the ledger cannot be reached or written, and the next turn tries again.
      if (hasCode(error, 'LedgerTakenOver')) return
    }
    schedule()
  }
  const schedule = (): void => {
    cancel = systemClock.timer(claimRenewMs, () => turns.take(renew))
  }
  schedule()
  return () => {
    ended = true
    cancel()
  }
}

if (!parentPort) throw new Error('ledger-worker.ts runs as a worker thread only')
await serve(parentPort, workerData as OpenRequest)
