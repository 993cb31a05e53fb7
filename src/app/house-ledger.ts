import type { LedgerStore } from '../billing/ledger.ts'
import { LedgerHealth } from '../billing/ledger-health.ts'
import { SelfCheck } from '../billing/self-check.ts'
import { checkLedger } from '../billing/store/check-ledger.ts'
import { openLedger } from '../billing/store/open-ledger.ts'
import { WatchedLedger } from '../billing/watched-ledger.ts'
import type { Config } from '../config/load.ts'
import { untilAborted, type Task } from '../control/tasks.ts'
import type { SpillwayError } from '../model/errors.ts'
import type { World } from './house.ts'

export interface HouseLedger {
  readonly ledger: LedgerStore
  readonly ledgerHealth: LedgerHealth
  readonly selfCheck: SelfCheck
  /**
   * Rejects with LedgerTakenOver when another Spillway writes the ledger: this one ends then, and leaves the Pods to
   * the other. Going on without writing would stop and start what the other does.
   */
  readonly whileOurs: Task
}

/** Opens the ledger of the configuration for writing what runs in one cluster. Rejects as the stores do. */
export async function openHouseLedger(
  { ledger: location, ledgerCheck }: Pick<Config, 'ledger' | 'ledgerCheck'>,
  world: World,
  clusterUid: string,
): Promise<HouseLedger> {
  const { environment, log } = world
  const takenOver = Promise.withResolvers<never>()
  // Nobody may be waiting for it yet, or any more.
  takenOver.promise.catch(() => undefined)
  const onTakenOver = (error: SpillwayError): void => {
    log.error({ code: error.code, error: error.message }, 'the ledger was taken over: this Spillway ends')
    takenOver.reject(error)
  }
  const ledgerHealth = new LedgerHealth(world)
  const onRenewal = (failure: SpillwayError | undefined): void => ledgerHealth.renewed(failure)
  const store = await openLedger(location, { environment, clusterUid, onTakenOver, onRenewal })
  const ledger = new WatchedLedger(store, ledgerHealth)
  const selfCheck = new SelfCheck({
    ledger,
    health: ledgerHealth,
    check: (request, signal) => checkLedger({ ...request, location, environment }, signal),
    ...ledgerCheck,
    ...world,
  })
  const whileOurs: Task = async (signal) => await Promise.race([takenOver.promise, untilAborted(signal)])
  return { ledger, ledgerHealth, selfCheck, whileOurs }
}
