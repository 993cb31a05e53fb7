import type { LedgerStore } from '../billing/ledger.ts'
import type { LedgerHealth } from '../billing/ledger-health.ts'
import type { LedgerMeter } from '../billing/meter.ts'
import type { SelfCheck } from '../billing/self-check.ts'
import type { Config } from '../config/load.ts'
import type { StrangerLimits } from '../kubelet-api/stranger-limits.ts'
import type { Cluster } from '../kube/cluster.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { KnownPools } from '../pools/known-pools.ts'
import type { PriceBook } from '../model/price-book.ts'
import type { Clock } from '../model/clock.ts'
import type { LiveBursts } from '../scheduling/burst/live-bursts.ts'
import type { LiveVolumes } from '../scheduling/live-volumes.ts'
import type { Log } from '../telemetry/log.ts'
import type { ClockSteps } from './clock-steps.ts'

/** What the house gets from the world around it. */
export interface World {
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: Log
}

/** Everything that is there once. */
export interface House {
  readonly config: Config
  readonly world: World
  readonly cluster: Cluster
  readonly ledger: LedgerStore
  readonly ledgerHealth: LedgerHealth
  readonly selfCheck: SelfCheck
  readonly meter: LedgerMeter
  /** Those that come with Spillway and the configuration's, by id. */
  readonly books: ReadonlyMap<string, PriceBook>
  readonly events: EventRecorder
  readonly clockSteps: ClockSteps
  readonly pools: KnownPools
  readonly bursts: LiveBursts
  readonly volumes: LiveVolumes
  readonly strangerLimits: StrangerLimits
  /** Closed in reverse when the house comes down. */
  readonly ground: AsyncDisposableStack
}
