import type { Clock } from '../../model/clock.ts'
import type { Log } from '../../telemetry/log.ts'
import type { Cgroups } from './cgroups.ts'
import type { CommandShell } from './command-shell.ts'
import type { CriClient } from './client.ts'
import type { CriSettings } from './config.ts'
import type { Gate } from './gate.ts'
import type { Images } from './images.ts'
import type { PodStore } from './pod-store.ts'

/** What all loops of Pods share. */
export interface CriTools {
  readonly settings: CriSettings
  readonly client: CriClient
  readonly images: Images
  readonly cgroups: Cgroups
  readonly store: PodStore
  readonly sandboxGate: Gate
  /** For mount and umount. */
  readonly shell: CommandShell
  readonly machineMemoryBytes: bigint
  /** Content of the file that Pods with DNS policy Default inherit. */
  readonly hostResolvConf: string
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
}
