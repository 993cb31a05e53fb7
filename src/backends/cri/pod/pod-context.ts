import type { Capabilities } from '../../../model/capability.ts'
import type { Clock } from '../../../model/clock.ts'
import type { PodRef } from '../../../model/pod-key.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { PodHappening } from '../../backend.ts'
import type { AttemptNotes } from './attempt-notes.ts'
import type { Cgroups } from '../resources/cgroups.ts'
import type { CommandShell } from '../command-shell.ts'
import type { CriClient } from '../runtime/client.ts'
import type { CriSettings } from '../config.ts'
import type { DiskReserve } from '../disk-reserve.ts'
import type { Gate } from '../gate.ts'
import type { Images } from '../images/images.ts'
import type { NetworkGuard } from '../network/network-guard.ts'
import type { Machine } from '../resources/machine.ts'
import type { PodPaths } from '../paths.ts'
import type { PodStore } from './pod-store.ts'
import type { RuntimeInquiry } from '../runtime/runtime-facts.ts'
import type { RuntimePicture } from '../runtime/runtime-picture.ts'
import type { Stops } from './stops.ts'
import type { UserNamespaces } from '../translate/user-namespaces.ts'

/** What all loops of Pods share. */
export interface CriTools {
  readonly settings: CriSettings
  readonly client: CriClient
  readonly runtime: RuntimeInquiry
  readonly capabilities: () => Capabilities
  readonly images: Images
  readonly cgroups: Cgroups
  readonly store: PodStore
  /** For the end of the Pod that fills the disk. */
  readonly reserve: DiskReserve
  readonly sandboxGate: Gate
  readonly network: NetworkGuard
  readonly userNamespaces: UserNamespaces
  /** For mount and umount. */
  readonly shell: CommandShell
  readonly machine: Machine
  /** Content of the file that Pods with DNS policy Default inherit. */
  readonly hostResolvConf: string
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
}

/** One Pod on the runtime: what everyone who acts on it is given. */
export interface PodHandle {
  readonly tools: CriTools
  readonly ref: PodRef
  readonly paths: PodPaths
  readonly picture: RuntimePicture
  readonly notes: AttemptNotes
  /** Containers that are being ended. */
  readonly stops: Stops
  /** For the Pod's events. */
  readonly tell: (happening: PodHappening) => void
}
