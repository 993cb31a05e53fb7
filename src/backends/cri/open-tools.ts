import { mkdir, readFile } from 'node:fs/promises'
import { availableParallelism, release } from 'node:os'
import type { Clock } from '../../model/clock.ts'
import { SpillwayError } from '../../model/errors.ts'
import { noDoors, type KnownDoors } from '../../model/node-door.ts'
import type { Log } from '../../telemetry/log.ts'
import { criCapabilities } from './capabilities.ts'
import { CommandShell } from './command-shell.ts'
import { criOptionProblems, defaultPodPidsLimit, type CriOptions } from './config.ts'
import { DiskReserve } from './disk-reserve.ts'
import { Gate } from './gate.ts'
import { Images } from './images/images.ts'
import { PullRecords } from './images/pull-records.ts'
import type { Owner } from './marks.ts'
import { openGuard } from './network/open-guard.ts'
import { pullRecordsDir } from './paths.ts'
import type { CriTools } from './pod/pod-context.ts'
import { PodStore } from './pod/pod-store.ts'
import { Cgroups } from './resources/cgroups.ts'
import { hasAppArmor, hasSeLinux, thisMachine } from './resources/machine.ts'
import { CriClient } from './runtime/client.ts'
import { RuntimeInquiry } from './runtime/runtime-facts.ts'
import { UserNamespaces } from './translate/user-namespaces.ts'

export interface CriBackendSettings {
  readonly name: string
  /** `CriOptions`. */
  readonly options: unknown
  readonly owner: Owner
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
  /** From which Pods are kept; left out: none are known. */
  readonly doors?: KnownDoors
}

/** What all Pods on one containerd share. Rejects with ConfigInvalid. */
export async function openTools(settings: CriBackendSettings): Promise<CriTools> {
  const { name, owner, clock, log, random } = settings
  const problems = criOptionProblems(settings.options, `backends "${name}".options`)
  if (problems.length > 0) throw new SpillwayError('ConfigInvalid', problems.join('\n'))
  const options = settings.options as CriOptions
  await mkdir(options.stateDir, { recursive: true, mode: 0o755 })
  const client = new CriClient({ socket: options.socket, clock })
  const cgroups = await Cgroups.open(options.cgroupParent, options.podPidsLimit ?? defaultPodPidsLimit)
  const store = new PodStore(options.stateDir)
  const userNamespaces = new UserNamespaces(store, options.firstUserNamespaceId)
  await userNamespaces.load()
  const runtime = new RuntimeInquiry(client)
  const machine = { kernelRelease: release(), hasAppArmor, hasSeLinux }
  const hostResolvConf = await readOr(options.resolvConf ?? '/etc/resolv.conf', '')
  return {
    settings: { ...owner, name, options },
    client,
    runtime,
    capabilities: () => criCapabilities({ name, options, runtime: runtime.facts, ...machine }),
    images: new Images({
      client,
      records: await PullRecords.open(pullRecordsDir(options.stateDir)),
      clock,
      log,
    }),
    cgroups,
    store,
    reserve: new DiskReserve(options.stateDir),
    userNamespaces,
    // Fewer leave the CPUs idle while runc and CNI wait; more make the first Pods of a burst wait for the last.
    sandboxGate: new Gate(options.parallelSandboxes ?? 4 * availableParallelism()),
    network: await openGuard({
      owner: { ...owner, backend: name },
      options: options.network ?? {},
      hostResolvConf,
      doors: settings.doors ?? noDoors,
      client,
      log,
    }),
    shell: new CommandShell(),
    machine: thisMachine(cgroups.version),
    hostResolvConf,
    clock,
    log,
    random,
  }
}

async function readOr(path: string, otherwise: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return otherwise
  }
}
