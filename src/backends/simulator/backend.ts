import type { Readable } from 'node:stream'
import { safeSysctls } from '../../lifecycle/sysctls.ts'
import { podFeatures, type Capabilities } from '../../model/capability.ts'
import { SpillwayError } from '../../model/errors.ts'
import type { Pod } from '../../model/kubernetes.ts'
import type { PodObservation } from '../../model/pod-observation.ts'
import { podRef, type PodUid } from '../../model/pod-key.ts'
import type { BackendUsage, UsageOptions } from '../../model/pod-usage.ts'
import type {
  Backend,
  BackendCapacity,
  BackendEvent,
  BackendHealth,
  CommandResult,
  HealthCheck,
  LogOptions,
  PodSources,
  StopOptions,
  StreamTarget,
} from '../backend.ts'
import { simulatedHandlers } from './handlers.ts'
import { logStream } from './logs.ts'
import { PodDriver } from './pod-driver.ts'
import { podScript } from './script.ts'
import { allRuns, isStopped, lastRuns, type SimulatedPod } from './simulated-pod.ts'
import { simulatedUsage } from './usage.ts'
import { Watchers } from './watchers.ts'
import type { SimulatedWorld } from './world.ts'

export interface SimulatorBackendOptions {
  readonly name: string
  /** Outlives this instance. */
  readonly world: SimulatedWorld
}

const simulatedKernel = '6.12'

// There is nothing to connect to, no record to outdate, and no Windows to pretend.
const notSimulated: ReadonlySet<string> = new Set([
  'attach',
  'exec',
  'portForward',
  'restartAllContainers',
  'windows',
])

/** Pods without containers: for scale tests, what-if, demos without root, and as the test double. */
export class SimulatorBackend implements Backend {
  readonly kind = 'simulator'
  readonly name: string
  readonly #world: SimulatedWorld
  readonly #drivers = new Map<PodUid, PodDriver>()
  readonly #watchers = new Watchers()
  readonly #unsubscribe: () => void
  #closed = false

  constructor({ name, world }: SimulatorBackendOptions) {
    this.name = name
    this.#world = world
    this.#unsubscribe = world.subscribe((uid) => this.#changed(uid))
    for (const record of world.records()) this.#drive(record)
  }

  capabilities(): Capabilities {
    return {
      features: new Set(podFeatures.filter((feature) => !notSimulated.has(feature))),
      ...simulatedHandlers(this.#world.config),
      linuxCapabilities: [],
      sysctls: safeSysctls(simulatedKernel),
    }
  }

  async capacity(signal: AbortSignal): Promise<BackendCapacity> {
    this.#enter('capacity', signal)
    return this.#world.capacity()
  }

  async health(_signal: AbortSignal): Promise<BackendHealth> {
    const fine = (reason: string): HealthCheck => ({ ok: true, reason, message: 'simulated' })
    return {
      runtime: fine('SimulatorReady'),
      disk: fine('SimulatorHasNoDiskPressure'),
      network: fine('SimulatorHasAddresses'),
      memory: fine('SimulatorHasSufficientMemory'),
      pids: fine('SimulatorHasSufficientPID'),
      ...this.#world.sick,
      runtimeVersion: 'simulator://1',
    }
  }

  async start(pod: Pod, sources: PodSources, signal: AbortSignal): Promise<void> {
    this.#enter('start', signal)
    const { uid } = podRef(pod)
    const known = this.#world.get(uid)
    // What began stopping keeps the spec that it ran with.
    if (known?.ending) return
    if (!known) this.#refuse(pod)
    const record = known ?? this.#world.accept(pod, sources.node.name)
    this.#drive(record).supervise(pod, sources)
  }

  async update(pod: Pod, signal: AbortSignal): Promise<void> {
    this.#enter('update', signal)
    const { uid } = podRef(pod)
    const driver = this.#drivers.get(uid)
    if (!driver || !this.#world.get(uid)) throw notFound(uid)
    driver.update(pod)
  }

  async stop(uid: PodUid, { graceSeconds }: StopOptions, signal: AbortSignal): Promise<void> {
    this.#enter('stop', signal)
    const record = this.#world.get(uid)
    if (!record) throw notFound(uid)
    this.#tellKilling(record)
    this.#world.endPod(record, graceSeconds)
  }

  async forget(uid: PodUid, signal: AbortSignal): Promise<void> {
    this.#enter('forget', signal)
    const record = this.#world.get(uid)
    if (!record) return
    if (!isStopped(record, this.#world.clock.wallMs())) {
      throw new SpillwayError('Busy', `Pod ${uid} has not stopped`, { afterMs: 100 })
    }
    this.#world.remove(uid)
  }

  async list(signal: AbortSignal): Promise<readonly PodObservation[]> {
    this.#enter('list', signal)
    return [...this.#drivers.values()].map((driver) => driver.observation())
  }

  async *watch(signal: AbortSignal): AsyncGenerator<BackendEvent> {
    this.#enter('watch', signal)
    const observed = [...this.#drivers.values()].map((driver): BackendEvent => {
      return { kind: 'observed', pod: driver.observation() }
    })
    yield* this.#watchers.events([...observed, { kind: 'synced' }], signal)
  }

  async logs(uid: PodUid, container: string, options: LogOptions, signal: AbortSignal): Promise<Readable> {
    this.#enter('logs', signal)
    const { clock } = this.#world
    const record = this.#world.get(uid)
    const runs = record && lastRuns(record, container, clock.wallMs())
    const run = options.previous ? runs?.before : runs?.last
    if (!record || !run) {
      const what = options.previous ? 'an attempt before the last' : 'a start'
      throw new SpillwayError('NotFound', `container ${container} of Pod ${uid} has not had ${what}`)
    }
    return logStream({ record, run, options, clock }, signal)
  }

  async exec(): Promise<StreamTarget> {
    throw unsupported('exec')
  }

  async attach(): Promise<StreamTarget> {
    throw unsupported('attach')
  }

  async portForward(): Promise<StreamTarget> {
    throw unsupported('port-forward')
  }

  async run(): Promise<CommandResult> {
    throw unsupported('a command')
  }

  /** Nothing on disk: nothing is written there. */
  async usage(_options: UsageOptions, signal: AbortSignal): Promise<BackendUsage> {
    this.#enter('usage', signal)
    const nowMs = this.#world.clock.wallMs()
    return { pods: this.#world.records().flatMap((record) => simulatedUsage(record, nowMs) ?? []) }
  }

  /** There is no disk to give back. */
  async reclaim(signal: AbortSignal): Promise<void> {
    this.#enter('reclaim', signal)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#unsubscribe()
    for (const driver of this.#drivers.values()) driver.close()
    this.#watchers.end(closed())
  }

  #enter(operation: Parameters<SimulatedWorld['throwIfScripted']>[0], signal: AbortSignal): void {
    signal.throwIfAborted()
    if (this.#closed) throw closed()
    this.#world.throwIfScripted(operation)
  }

  #refuse(pod: Pod): void {
    const { failStart } = podScript(pod)
    if (failStart === 'rejected') throw new SpillwayError('Rejected', 'the Pod is scripted to be rejected')
    if (failStart === 'unavailable')
      throw new SpillwayError('Unavailable', 'the Pod is scripted to find nobody')
    const lack = failStart === 'busy' ? 'the Pod is scripted to wait' : this.#world.lack(pod)
    if (lack !== undefined) {
      throw new SpillwayError('Busy', `no room for the Pod: ${lack}`, {
        afterMs: 1_000,
        reason: 'OutOfStock',
      })
    }
  }

  #drive(record: SimulatedPod): PodDriver {
    const { uid } = record.ref
    const known = this.#drivers.get(uid)
    if (known) return known
    const driver = new PodDriver({
      record,
      world: this.#world,
      emit: (event) => this.#watchers.emit(event),
    })
    this.#drivers.set(uid, driver)
    return driver
  }

  #changed(uid: PodUid): void {
    const driver = this.#drivers.get(uid)
    if (this.#world.get(uid)) {
      driver?.tick()
      return
    }
    driver?.close()
    if (this.#drivers.delete(uid)) this.#watchers.emit({ kind: 'gone', uid })
  }

  #tellKilling(record: SimulatedPod): void {
    if (record.ending) return
    const { uid } = record.ref
    const nowMs = this.#world.clock.wallMs()
    for (const { name, startedAtMs, end, kind } of allRuns(record)) {
      if (startedAtMs > nowMs || end.atMs <= nowMs) continue
      const list = kind === 'init' || kind === 'sidecar' ? 'initContainers' : 'containers'
      const happening = { type: 'Normal', reason: 'Killing', message: `Stopping container ${name}` } as const
      this.#watchers.emit({
        kind: 'happened',
        uid,
        happening: { ...happening, fieldPath: `spec.${list}{${name}}` },
      })
    }
  }
}

function notFound(uid: PodUid): SpillwayError {
  return new SpillwayError('NotFound', `the simulator has no running Pod ${uid}`)
}

function unsupported(what: string): SpillwayError {
  return new SpillwayError(
    'Unsupported',
    `the simulator runs no containers: ${what} has nothing to connect to`,
  )
}

function closed(): SpillwayError {
  return new SpillwayError('Unavailable', 'the backend was closed')
}
