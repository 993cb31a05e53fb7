import type { LedgerStore } from '../billing/ledger.ts'
import { openLedger } from '../billing/store/open-ledger.ts'
import type { LedgerConfig } from '../config/ledger.ts'
import type { Task } from '../control/tasks.ts'
import type { SpillwayError } from '../model/errors.ts'
import type { World } from './house.ts'

export interface HouseLedger {
  readonly ledger: LedgerStore
  /**
   * Rejects with LedgerTakenOver when another Spillway writes the ledger: this one ends then, and leaves the Pods to
   * the other. Going on without writing would stop and start what the other does.
   */
  readonly whileOurs: Task
}

/** Opens the ledger of the configuration for writing what runs in one cluster. Rejects as the stores do. */
export async function openHouseLedger(
  config: LedgerConfig,
  { environment, log }: Pick<World, 'environment' | 'log'>,
  clusterUid: string,
): Promise<HouseLedger> {
  const takenOver = Promise.withResolvers<never>()
  // Nobody may be waiting for it yet, or any more.
  takenOver.promise.catch(() => undefined)
  const onTakenOver = (error: SpillwayError): void => {
    log.error({ code: error.code, error: error.message }, 'the ledger was taken over: this Spillway ends')
    takenOver.reject(error)
  }
  const ledger = await openLedger(config, { environment, clusterUid, onTakenOver })
  return { ledger, whileOurs: async (signal) => await Promise.race([takenOver.promise, aborted(signal)]) }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
