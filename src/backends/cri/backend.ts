import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Capabilities, SandboxKind } from '../../model/capability.ts'
import { errorMessage, SpillwayError } from '../../model/errors.ts'
import type { Pod } from '../../model/kubernetes.ts'
import { podRef, type PodUid } from '../../model/pod-key.ts'
import type { PodObservation } from '../../model/pod-observation.ts'
import type { BackendUsage, UsageOptions } from '../../model/pod-usage.ts'
import type {
  AttachOptions,
  Backend,
  BackendCapacity,
  BackendEvent,
  BackendHealth,
  CommandResult,
  ExecOptions,
  LogOptions,
  PodSources,
  StopOptions,
  StreamTarget,
} from '../backend.ts'
import { relistMs } from './config.ts'
import { keepReserve } from './disk-reserve.ts'
import { ImageCollector } from './images/image-collector.ts'
import { RuntimeShelf } from './images/image-shelf.ts'
import { keepLogs } from './logs/log-keeper.ts'
import { loggedAttempt } from './logs/logged-attempt.ts'
import { readLog } from './logs/read-log.ts'
import { HostHealth } from './resources/host-health.ts'
import { machineCapacity } from './resources/machine.ts'
import { currentSandbox, podIpsOf, type SeenContainer } from './pod/observe.ts'
import { logPath } from './paths.ts'
import { openTools, type CriBackendSettings } from './open-tools.ts'
import type { CriTools } from './pod/pod-context.ts'
import type { PodLoop } from './pod/pod-loop.ts'
import { PodLoops } from './pod/pod-loops.ts'
import { followRuntime } from './runtime/runtime-events.ts'
import { PortForwarder } from './streaming/port-forwarder.ts'
import { withSandboxRoom } from './resources/sandbox-room.ts'
import { refuseUnsupported } from './resources/update-rules.ts'
import { handlerOfSandbox } from './sandbox-handlers.ts'
import { sandboxTerms, type SandboxTerms } from './sandbox-terms.ts'
import { UsageMeter, type MeasuredPod } from './usage/usage-meter.ts'
import { WatchHub } from './watch-hub.ts'

/** Pods on a containerd. Rejects with ConfigInvalid; a containerd that is not there is no error until it is asked. */
export async function createCriBackend(settings: CriBackendSettings): Promise<Backend> {
  return new CriBackend(await openTools(settings))
}

class CriBackend implements Backend {
  readonly kind = 'cri'
  readonly #tools: CriTools
  readonly #hub = new WatchHub()
  readonly #loops: PodLoops
  readonly #usage: UsageMeter
  readonly #health: HostHealth
  readonly #collector: ImageCollector
  readonly #forwarder: PortForwarder
  readonly #life = new AbortController()
  readonly #sources = new Map<PodUid, PodSources>()
  #running: Promise<unknown> | undefined
  #adopted = false

  constructor(tools: CriTools) {
    this.#tools = tools
    this.#loops = new PodLoops(tools, this.#hub)
    const { client, clock, images, log, settings } = tools
    const pictures = () => this.#loops.all().map(({ picture }) => picture)
    const shelf = new RuntimeShelf({ client, images, pictures })
    this.#forwarder = new PortForwarder({ clock })
    this.#health = new HostHealth({ tools, imageDisk: (signal) => shelf.disk(signal) })
    this.#collector = new ImageCollector({ shelf, policy: settings.options.imageGc, clock, log })
    this.#usage = new UsageMeter({
      client,
      owner: settings,
      stateDir: settings.options.stateDir,
      pods: () => this.#loops.all(),
      isSealed: (pod) => this.#kindIn(pod) === 'gvisor',
      clock,
    })
  }

  get name(): string {
    return this.#tools.settings.name
  }

  capabilities(): Capabilities {
    return this.#tools.capabilities()
  }

  #termsOf(pod: Pod, sources: PodSources, signal: AbortSignal): Promise<SandboxTerms> {
    return sandboxTerms({ pod, sources, capabilities: this.capabilities() }, signal)
  }

  async capacity(signal: AbortSignal): Promise<BackendCapacity> {
    signal.throwIfAborted()
    return await machineCapacity(this.#tools.settings.options)
  }

  async health(signal: AbortSignal): Promise<BackendHealth> {
    return await this.#health.check(signal)
  }

  async start(pod: Pod, sources: PodSources, signal: AbortSignal): Promise<void> {
    await this.#adopt(signal)
    const { capabilities, kind } = await this.#termsOf(pod, sources, signal)
    if (!this.#loops.get(podRef(pod).uid)) refuseUnsupported(pod, capabilities)
    const loop = await this.#loops.of(pod, sources)
    if (loop.ending || loop.stopped) return
    this.#sources.set(loop.ref.uid, sources)
    await loop.supervise(withSandboxRoom(pod, this.#kindIn(loop) ?? kind), sources)
  }

  async update(pod: Pod, signal: AbortSignal): Promise<void> {
    await this.#adopt(signal)
    const { uid } = podRef(pod)
    const loop = this.#loops.get(uid)
    const sources = this.#sources.get(uid)
    if (!loop?.pod || !sources) throw new SpillwayError('NotFound', `Pod ${uid} was not started here`)
    const { kind } = await this.#termsOf(pod, sources, signal)
    await loop.supervise(withSandboxRoom(pod, this.#kindIn(loop) ?? kind), sources)
  }

  async stop(uid: PodUid, { graceSeconds }: StopOptions, signal: AbortSignal): Promise<void> {
    await this.#adopt(signal)
    await this.#loop(uid).stop(graceSeconds)
  }

  async forget(uid: PodUid, signal: AbortSignal): Promise<void> {
    await this.#adopt(signal)
    const loop = this.#loops.get(uid)
    if (!loop) return
    if (!loop.stopped) throw new SpillwayError('Busy', `Pod ${uid} has not stopped`, { afterMs: 500 })
    await loop.erase(signal)
    this.#sources.delete(uid)
    this.#loops.drop(uid)
  }

  async list(signal: AbortSignal): Promise<readonly PodObservation[]> {
    await this.#adopt(signal)
    await this.#loops.relist(this.#life.signal)
    signal.throwIfAborted()
    return this.#loops.observe()
  }

  async *watch(signal: AbortSignal): AsyncIterable<BackendEvent> {
    const reader = this.#hub.open()
    await this.#adopt(signal)
    for (const pod of this.#loops.observe()) yield { kind: 'observed', pod }
    yield { kind: 'synced' }
    yield* reader.read(signal)
  }

  async logs(uid: PodUid, container: string, options: LogOptions, signal: AbortSignal): Promise<Readable> {
    await this.#adopt(signal)
    const loop = this.#loop(uid)
    const { previous } = options
    const seen = loggedAttempt({ view: loop.picture, observed: loop.observe() }, { container, previous })
    if (!seen) {
      const which = options.previous ? 'no previous attempt of' : 'not started'
      throw new SpillwayError('NotFound', `container "${container}" of Pod ${uid}: ${which} the container`)
    }
    const path = join(loop.paths.logDir, logPath(container, seen.status.metadata.attempt))
    const isRunning = (): boolean => loop.picture.running.some(({ status }) => status.id === seen.status.id)
    const { clock, log } = this.#tools
    return await readLog({ path, options, isRunning, clock, log }, signal)
  }

  async exec(
    uid: PodUid,
    container: string,
    options: ExecOptions,
    signal: AbortSignal,
  ): Promise<StreamTarget> {
    const { command, ...streams } = options
    const { status } = await this.#runningContainer(uid, container, signal)
    return await this.#stream('Exec', { containerId: status.id, cmd: command, ...streams }, signal)
  }

  async attach(
    uid: PodUid,
    container: string,
    options: AttachOptions,
    signal: AbortSignal,
  ): Promise<StreamTarget> {
    const { status } = await this.#runningContainer(uid, container, signal)
    return await this.#stream('Attach', { containerId: status.id, ...options }, signal)
  }

  async portForward(uid: PodUid, ports: readonly number[], signal: AbortSignal): Promise<StreamTarget> {
    await this.#adopt(signal)
    const loop = this.#loop(uid)
    const sandbox = loop.picture.current
    if (sandbox?.state !== 'SANDBOX_READY') throw new SpillwayError('NotFound', `Pod ${uid} does not run`)
    const [address] = podIpsOf(sandbox)
    if (this.#kindIn(loop) !== 'gvisor' || address === undefined)
      return await this.#stream('PortForward', { podSandboxId: sandbox.id, port: ports }, signal)
    const { name } = sandbox.metadata
    return { url: await this.#forwarder.url({ address, name, uid, ports }), headers: {} }
  }

  async run(
    uid: PodUid,
    container: string,
    command: readonly string[],
    signal: AbortSignal,
  ): Promise<CommandResult> {
    const { status } = await this.#runningContainer(uid, container, signal)
    return await this.#tools.client.execSync(status.id, { command, timeoutSeconds: 0 }, signal)
  }

  async usage(options: UsageOptions, signal: AbortSignal): Promise<BackendUsage> {
    await this.#adopt(signal)
    const usage = await this.#usage.usage(options, this.#life.signal)
    signal.throwIfAborted()
    return usage
  }

  async reclaim(signal: AbortSignal): Promise<void> {
    await this.#adopt(signal)
    const { log } = this.#tools
    // First what needs no room itself: a note on what a Pod sheds has to be written.
    await this.#collector.collectAll(signal)
    for (const loop of this.#loops.all()) {
      try {
        await loop.shed(signal)
      } catch (error) {
        signal.throwIfAborted()
        log.warn({ pod: loop.ref.uid, error: errorMessage(error) }, 'a stopped Pod keeps its disk')
      }
    }
  }

  async close(): Promise<void> {
    const reason = new SpillwayError('Unavailable', 'the backend is closing')
    this.#life.abort(reason)
    this.#hub.end(reason)
    await this.#running
    await Promise.all(this.#loops.all().map((loop) => loop.close()))
    await this.#forwarder.close()
    await this.#tools.network.close()
    this.#tools.client.close()
    this.#tools.shell.close()
  }

  /** Finds what an earlier life of this process left, before the first answer of any kind; tried anew when it failed. */
  async #adopt(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#life.signal.throwIfAborted()
    if (this.#adopted) return
    // Not by the caller's signal: who asks meanwhile shares the answer.
    await Promise.all([this.#relist(this.#life.signal), this.#tools.runtime.ask(this.#life.signal)])
    signal.throwIfAborted()
    this.#adopted = true
    this.#running ??= this.#follow()
  }

  async #relist(signal: AbortSignal): Promise<void> {
    await this.#loops.relist(signal)
    await this.#tools.network.follow(
      this.#loops.all().flatMap(({ picture }) => picture.sandboxes),
      signal,
    )
  }

  #follow(): Promise<unknown> {
    const { client, clock, log, random } = this.#tools
    const { signal } = this.#life
    const onEnded = (id: string): void => {
      this.#loops.ended(id, signal).catch((error: unknown) => {
        if (!signal.aborted)
          log.warn({ id, error: errorMessage(error) }, 'what has ended could not be looked at')
      })
    }
    const relist = (inner: AbortSignal): Promise<void> => this.#relist(inner)
    return Promise.all([
      followRuntime({ client, clock, log, random, onEnded, relist, relistEveryMs: relistMs }, signal),
      keepLogs(this.#tools, () => this.#loops.all(), signal),
      this.#collector.run(signal),
      keepReserve({ ...this.#tools, disk: (inner) => this.#health.disk(inner) }, signal),
    ])
  }

  #loop(uid: PodUid): PodLoop {
    const loop = this.#loops.get(uid)
    if (!loop) throw new SpillwayError('NotFound', `nothing of Pod ${uid} is here`)
    return loop
  }

  async #runningContainer(uid: PodUid, container: string, signal: AbortSignal): Promise<SeenContainer> {
    await this.#adopt(signal)
    const seen = this.#loop(uid).picture.running.find(({ status }) => status.metadata.name === container)
    if (!seen) throw new SpillwayError('NotFound', `container "${container}" of Pod ${uid} is not running`)
    return seen
  }

  /** Of the sandbox as it was made, whatever the pool says by now. */
  #kindIn({ picture }: Pick<MeasuredPod, 'picture'>): SandboxKind | undefined {
    return handlerOfSandbox(currentSandbox(picture.sandboxes), this.#tools.runtime.facts)?.kind
  }

  async #stream(
    method: 'Exec' | 'Attach' | 'PortForward',
    request: object,
    signal: AbortSignal,
  ): Promise<StreamTarget> {
    return { url: await this.#tools.client.streamingUrl(method, request, signal), headers: {} }
  }
}
