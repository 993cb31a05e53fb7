import type { Clock } from '../../model/clock.ts'
import type { SpillwayError } from '../../model/errors.ts'
import type { Pod } from '../../model/kubernetes.ts'
import { parseBytes, parseCpuMillis } from '../../model/quantity.ts'
import { add, noResources, podRequests, shortages, type Resources } from '../../model/resources.ts'
import { podRef, type PodUid } from '../../model/pod-key.ts'
import type { HealthCheck } from '../backend.ts'
import { AddressPool } from './address-pool.ts'
import { chance, jittered } from './chance.ts'
import { simulatorConfig, type SimulatorConfig } from './config.ts'
import { allocationOf, givenTo } from './resize.ts'
import { containerScript, podScript } from './script.ts'
import type { NamedContainer } from './observe.ts'
import {
  allRuns,
  currentSandbox,
  endRun,
  isStopped,
  lastRuns,
  type RunEnd,
  type SimulatedPod,
  type SimulatedRun,
  type SimulatedSandbox,
} from './simulated-pod.ts'

export interface SimulatedWorldOptions {
  /** As in the configuration file: `config.ts`. */
  readonly options?: unknown
  readonly clock: Clock
}

/** What the simulation can be told to go wrong with. */
export type SimulatedOperation =
  'start' | 'update' | 'stop' | 'forget' | 'list' | 'watch' | 'logs' | 'capacity' | 'usage' | 'reclaim'

/**
 * The runtime that is not there: it outlives the backend instances that look at it, as containerd outlives Spillway, so
 * a test can drop the one and make another on the same world. Everything is determined by seed, clock and calls.
 */
export class SimulatedWorld {
  readonly clock: Clock
  readonly config: SimulatorConfig
  readonly #pods = new Map<PodUid, SimulatedPod>()
  readonly #addresses: AddressPool
  readonly #imageHereAtMs = new Map<string, number>()
  readonly #listeners = new Set<(uid: PodUid) => void>()
  readonly #failures = new Map<SimulatedOperation, SpillwayError[]>()
  #sick: Readonly<Partial<Record<HealthTopic, HealthCheck>>> = {}
  #inStock = true

  constructor({ options, clock }: SimulatedWorldOptions) {
    this.config = simulatorConfig(options)
    this.clock = clock
    this.#addresses = new AddressPool(this.config.podCidr)
  }

  get(uid: PodUid): SimulatedPod | undefined {
    return this.#pods.get(uid)
  }

  records(): SimulatedPod[] {
    return [...this.#pods.values()]
  }

  /** Calls back when something other than time changed a Pod. Returns the end of the subscription. */
  subscribe(listener: (uid: PodUid) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  capacity(): Resources & { readonly pods: number } {
    const { cpu, memory, ephemeralStorage, pods, extended } = this.config
    return {
      ...noResources,
      cpuMillis: parseCpuMillis(cpu),
      memoryBytes: parseBytes(memory),
      ephemeralStorageBytes: parseBytes(ephemeralStorage),
      extended: new Map(Object.entries(extended).map(([name, amount]) => [name, BigInt(amount)])),
      pods: Math.min(pods, this.#addresses.size),
    }
  }

  /** Why the Pod does not fit beside what runs, or undefined when it does. */
  lack(pod: Pod): string | undefined {
    if (!this.#inStock) return 'out of stock'
    const nowMs = this.clock.wallMs()
    const running = this.records().filter((record) => !isStopped(record, nowMs))
    const { pods, ...total } = this.capacity()
    if (running.length >= pods) return `${running.length} of ${pods} Pods run already`
    const wanted = running.reduce((sum, record) => add(sum, podRequests(record.pod)), podRequests(pod))
    // Of what the machine does not have at all a Pod may ask, as on a server: it belongs to the cluster then.
    const counted = [...wanted.extended].filter(([name]) => total.extended.has(name))
    const short = shortages({ ...wanted, extended: new Map(counted) }, total)
    return short.length > 0 ? `not enough ${short.join(', ')}` : undefined
  }

  accept(pod: Pod, nodeName: string): SimulatedPod {
    const ref = podRef(pod)
    const record: SimulatedPod = {
      ref,
      nodeName,
      pod,
      // In effect from the start: its containers begin with it.
      allocation: { ...allocationOf(pod), inEffectAtMs: this.clock.wallMs() },
      sandboxes: [],
      runs: new Map(),
      ending: undefined,
    }
    this.#pods.set(ref.uid, record)
    return record
  }

  /** Undefined when no address is left. */
  makeSandbox(record: SimulatedPod, attempt: number): SimulatedSandbox | undefined {
    const ip = this.#addresses.take()
    if (ip === undefined) return undefined
    const before = currentSandbox(record)
    if (before) this.#addresses.release(before.ip)
    const { uid } = record.ref
    const createdAtMs = this.clock.wallMs()
    const readyAtMs = createdAtMs + this.#takes(this.config.sandboxMs, uid, 'sandbox', attempt)
    const lostAtMs = attempt === 0 ? readyAtMs + podScript(record.pod).loseSandboxAfterMs : Infinity
    // Another simulator, after a restart, makes others: under the same name they would be billed as this one.
    const id = `${uid}-sandbox-${attempt}-${createdAtMs}`
    const sandbox = { id, attempt, createdAtMs, readyAtMs, ip, lostAtMs }
    record.sandboxes.push(sandbox)
    return sandbox
  }

  /** Pulls what is missing and starts the container; how that goes on is written down at once. */
  beginRun(
    record: SimulatedPod,
    container: NamedContainer,
    how: {
      readonly attempt: number
      readonly backoffMs: number
      readonly environment: ReadonlyMap<string, string>
    },
  ): SimulatedRun {
    const { name, kind, image } = container
    const { attempt, backoffMs, environment } = how
    const { uid } = record.ref
    const sandbox = currentSandbox(record)
    const script = this.scriptOf(record.pod, container)
    const pulledAtMs = this.#pull(image)
    const startedAtMs = pulledAtMs + this.#takes(this.config.startMs, uid, name, attempt)
    const exitCode = script.exitCodes[Math.min(attempt, script.exitCodes.length - 1)] ?? 0
    const end: RunEnd = script.cannotRun
      ? { atMs: startedAtMs, exitCode: 128, reason: 'StartError', message: script.cannotRun }
      : { atMs: startedAtMs + script.runMs, exitCode, reason: exitCode === 0 ? 'Completed' : 'Error' }
    const lostAtMs = sandbox?.lostAtMs ?? Infinity
    if (end.atMs > lostAtMs) Object.assign(end, killedAt(lostAtMs))
    const containerId = `simulated://${uid}-${name}-${attempt}`
    const sandboxAttempt = sandbox?.attempt ?? 0
    const run = {
      name,
      kind,
      attempt,
      backoffMs,
      sandboxAttempt,
      containerId,
      image,
      startedAtMs,
      script,
      environment,
      given: givenTo(record.pod, name),
      end,
    }
    record.runs.set(name, [...(record.runs.get(name) ?? []), run])
    return run
  }

  scriptOf(pod: Pod, { name, kind }: Pick<NamedContainer, 'name' | 'kind'>) {
    const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {}
    const all = [...initContainers, ...containers, ...ephemeralContainers]
    const container = all.find((candidate) => candidate.name === name) ?? { name }
    return containerScript(pod, container, kind, this.config)
  }

  isPulled(image: string): boolean {
    return (this.#imageHereAtMs.get(image) ?? Infinity) <= this.clock.wallMs()
  }

  /** Ends the Pod; again with less grace: sooner. Sidecars go when the others have gone. */
  endPod(record: SimulatedPod, graceSeconds: number): void {
    const nowMs = this.clock.wallMs()
    const killAtMs = nowMs + graceSeconds * 1000
    record.ending ??= { sinceMs: nowMs, killAtMs }
    record.ending.killAtMs = Math.min(record.ending.killAtMs, killAtMs)
    for (const [name, runs] of record.runs) {
      // What was about to start never does.
      record.runs.set(name, runs.filter((run) => run.startedAtMs <= nowMs)) // prettier-ignore
    }
    const alive = allRuns(record).filter((run) => run.end.atMs > nowMs)
    const others = alive.filter((run) => run.kind !== 'sidecar')
    for (const run of others) endRun(run, record.ending.sinceMs, record.ending.killAtMs)
    const doneAtMs = Math.max(record.ending.sinceMs, ...others.map((run) => run.end.atMs))
    for (const run of alive) if (run.kind === 'sidecar') endRun(run, doneAtMs, record.ending.killAtMs)
    this.#changed(record.ref.uid)
  }

  /** Removes every trace. */
  remove(uid: PodUid): void {
    const sandbox = currentSandbox(this.#pods.get(uid) ?? noPod)
    if (sandbox) this.#addresses.release(sandbox.ip)
    if (this.#pods.delete(uid)) this.#changed(uid)
  }

  // What tests and scenarios do to it.

  /** The sandbox dies, and all that runs in it. */
  loseSandbox(uid: PodUid): void {
    const record = this.#existing(uid)
    const sandbox = currentSandbox(record)
    const nowMs = this.clock.wallMs()
    if (sandbox) sandbox.lostAtMs = nowMs
    for (const run of allRuns(record)) if (run.end.atMs > nowMs) run.end = killedAt(nowMs)
    this.#changed(uid)
  }

  /** A container ends by itself, now. */
  crash(uid: PodUid, container: string, exitCode: number): void {
    const nowMs = this.clock.wallMs()
    const { last } = lastRuns(this.#existing(uid), container, nowMs)
    if (last && last.end.atMs > nowMs) {
      last.end = { atMs: nowMs, exitCode, reason: exitCode === 0 ? 'Completed' : 'Error' }
    }
    this.#changed(uid)
  }

  /** While out of stock nothing new is taken in. */
  setStock(inStock: boolean): void {
    this.#inStock = inStock
  }

  /** The next call of that operation, of whichever instance, rejects with this error. */
  failNext(operation: SimulatedOperation, error: SpillwayError): void {
    this.#failures.set(operation, [...(this.#failures.get(operation) ?? []), error])
  }

  throwIfScripted(operation: SimulatedOperation): void {
    const error = this.#failures.get(operation)?.shift()
    if (error) throw error
  }

  get sick(): Readonly<Partial<Record<HealthTopic, HealthCheck>>> {
    return this.#sick
  }

  setSick(sick: Readonly<Partial<Record<HealthTopic, HealthCheck>>>): void {
    this.#sick = sick
  }

  #existing(uid: PodUid): SimulatedPod {
    const record = this.#pods.get(uid)
    if (!record) throw new Error(`the simulated world has no Pod ${uid}`)
    return record
  }

  /** When the image is here. */
  #pull(image: string): number {
    const nowMs = this.clock.wallMs()
    const known = this.#imageHereAtMs.get(image)
    if (known !== undefined) return Math.max(known, nowMs)
    const hereAtMs = nowMs + this.#takes(this.config.pullMs, image, 'pull')
    this.#imageHereAtMs.set(image, hereAtMs)
    return hereAtMs
  }

  #takes(durationMs: number, ...words: readonly (string | number)[]): number {
    return jittered(durationMs, this.config.jitter, chance(this.config.seed, ...words))
  }

  #changed(uid: PodUid): void {
    for (const listener of this.#listeners) listener(uid)
  }
}

export type HealthTopic = 'runtime' | 'disk' | 'network' | 'memory' | 'pids'

const noPod: Pick<SimulatedPod, 'sandboxes'> = { sandboxes: [] }

function killedAt(atMs: number): RunEnd {
  return { atMs, exitCode: 137, reason: 'Error' }
}
