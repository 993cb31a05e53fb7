import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { PodHappening } from '../../../src/backends/backend.ts'
import { CommandShell } from '../../../src/backends/cri/command-shell.ts'
import { DiskReserve } from '../../../src/backends/cri/disk-reserve.ts'
import { Gate } from '../../../src/backends/cri/gate.ts'
import { Images } from '../../../src/backends/cri/images/images.ts'
import { PullRecords } from '../../../src/backends/cri/images/pull-records.ts'
import { openNetwork } from '../../../src/backends/cri/network/network-guard.ts'
import { podPaths } from '../../../src/backends/cri/paths.ts'
import { AttemptNotes } from '../../../src/backends/cri/pod/attempt-notes.ts'
import type { CriTools, PodHandle } from '../../../src/backends/cri/pod/pod-context.ts'
import { PodStore } from '../../../src/backends/cri/pod/pod-store.ts'
import { Stops } from '../../../src/backends/cri/pod/stops.ts'
import { Cgroups } from '../../../src/backends/cri/resources/cgroups.ts'
import type { CpuMemory } from '../../../src/backends/cri/resources/linux-resources.ts'
import { thisMachine } from '../../../src/backends/cri/resources/machine.ts'
import { RuntimeInquiry } from '../../../src/backends/cri/runtime/runtime-facts.ts'
import { RuntimePicture } from '../../../src/backends/cri/runtime/runtime-picture.ts'
import type { SandboxStatus } from '../../../src/backends/cri/runtime/cri-types.ts'
import type { SeenContainer } from '../../../src/backends/cri/pod/observe.ts'
import { UserNamespaces } from '../../../src/backends/cri/translate/user-namespaces.ts'
import { podRef } from '../../../src/model/pod-key.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { aPod, capabilities } from '../../support/builders.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeRuntime } from './fake-runtime.ts'
import { attempt } from './seen.ts'

/**
 * The Pod `web` of `aPod` on a fake runtime, with everything else real: its files in a folder of the test's, and plain
 * folders for cgroups. A second one in the same folder is the next life of the process.
 */
export class OnePod {
  readonly stateDir: string
  readonly runtime: FakeRuntime
  readonly clock: FakeClock
  readonly handle: PodHandle
  /** What was told of it. */
  readonly told: PodHappening[] = []
  /** Lines of the log, each. */
  readonly logged: string[]

  private constructor(
    stateDir: string,
    tools: CriTools,
    { runtime, clock, logged }: Pick<OnePod, 'runtime' | 'clock' | 'logged'>,
  ) {
    const ref = podRef(aPod())
    const paths = podPaths(stateDir, ref)
    this.stateDir = stateDir
    this.runtime = runtime
    this.clock = clock
    this.logged = logged
    this.handle = {
      tools,
      ref,
      paths,
      picture: new RuntimePicture(runtime.client, () => Promise.resolve('')),
      notes: new AttemptNotes(paths.podDir),
      stops: new Stops(),
      tell: (happening) => void this.told.push(happening),
    }
  }

  static async open(): Promise<OnePod> {
    return await OnePod.#in(
      await mkdtemp(join(tmpdir(), 'spillway-pod-')),
      new FakeRuntime(),
      new FakeClock(),
    )
  }

  /** Its runtime, its files and its time, seen by a new process. */
  async afterCrash(): Promise<OnePod> {
    this.handle.tools.shell.close()
    const next = await OnePod.#in(this.stateDir, this.runtime, this.clock)
    await next.handle.notes.load()
    next.handle.picture.remember(await next.handle.tools.store.readShed(next.handle.paths.podDir))
    await next.look()
    return next
  }

  static async #in(stateDir: string, runtime: FakeRuntime, clock: FakeClock): Promise<OnePod> {
    const { client } = runtime
    const logged: string[] = []
    const log = createLog({ level: 'debug', destination: { write: (line) => void logged.push(line) } })
    const store = new PodStore(stateDir)
    const records = await PullRecords.open(join(stateDir, 'images'))
    const options = { socket: '/none', stateDir, cgroupParent: '/spillway' }
    const tools: CriTools = {
      settings: { name: 'cri', clusterUid: 'test-cluster', instance: 'test', options },
      client,
      runtime: new RuntimeInquiry(client),
      capabilities: () => capabilities(),
      images: new Images({ client, records, clock, log }),
      cgroups: new FolderCgroups(join(stateDir, 'cgroup'), options.cgroupParent),
      store,
      reserve: new DiskReserve(stateDir),
      sandboxGate: new Gate(1),
      network: openNetwork,
      userNamespaces: new UserNamespaces(store),
      shell: new CommandShell(),
      machine: thisMachine(2),
      hostResolvConf: '',
      clock,
      log,
      random: () => 0.5,
    }
    const pod = new OnePod(stateDir, tools, { runtime, clock, logged })
    await mkdir(pod.handle.paths.podDir, { recursive: true })
    return pod
  }

  /** Puts these into the runtime, and into the Pod's picture of it. */
  async put(...things: readonly (SandboxStatus | SeenContainer)[]): Promise<void> {
    this.runtime.put(...things)
    await this.look()
  }

  async look(): Promise<void> {
    const { signal } = new AbortController()
    const everything = await Promise.all([
      this.runtime.listSandboxes({}, signal),
      this.runtime.listContainers({}, signal),
    ])
    await this.handle.picture.reconcile(...everything, signal)
  }

  /** The folder that stands for a container's cgroup, with these processes in it. */
  async cgroup(containerId: string, pids: readonly number[]): Promise<void> {
    const { uid } = this.handle.ref
    const path = join(this.stateDir, 'cgroup', this.handle.tools.cgroups.pathOf(uid), containerId)
    await mkdir(path, { recursive: true })
    await writeFile(join(path, 'cgroup.procs'), pids.join('\n'))
  }

  async close(): Promise<void> {
    this.handle.tools.shell.close()
    // A start that failed for one thing may still be writing another.
    await rm(this.stateDir, { recursive: true, maxRetries: 10 })
  }
}

/** Plain folders, in which the kernel's files are ours to make and to remove. */
class FolderCgroups extends Cgroups {
  readonly #root: string

  constructor(root: string, parent: string) {
    super({ version: 2, root }, parent)
    this.#root = root
  }

  override async ensure(uid: string, limits: CpuMemory): Promise<void> {
    const path = join(this.#root, this.pathOf(uid))
    await mkdir(path, { recursive: true })
    for (const folder of [this.#root, dirname(path)]) await writeFile(join(folder, 'cgroup.controllers'), '')
    await super.ensure(uid, { memoryBytes: unlimited, cpuQuotaUs: -1, ...limits })
  }

  override async remove(uid: string): Promise<void> {
    await rm(join(this.#root, this.pathOf(uid)), { recursive: true, force: true })
  }
}

const unlimited = 2n ** 63n - 1n

/** A running container of that name, with its own id. */
export function containerNamed(
  name: string,
  number = 0,
  status: Partial<SeenContainer['status']> = {},
): SeenContainer {
  const metadata = { name, attempt: number }
  return attempt(number, { id: `${name}-${number}`, metadata, ...status })
}
