import type { PodObservation, ContainerRunState, TerminatedState } from '../../src/model/pod-observation.ts'
import type { PodResources } from '../../src/model/pod-resources.ts'
import { asPodUid } from '../../src/model/pod-key.ts'

/** What a Pod is given, in whole steps. */
export interface TrueSpec {
  readonly cpuMillis: bigint
  readonly memoryMiB: bigint
  readonly gpus: bigint
}

/** What really was, by the backend's clock; never forgotten. */
export interface TrueSandbox {
  readonly id: string
  readonly createdMs: number
  readonly runs: { readonly startedMs: number; finishedMs: number }[]
  /** Infinity while it is whole. */
  lostMs: number
}

interface Held {
  readonly first: number
  allocation: { readonly generation: number; readonly spec: TrueSpec; readonly inEffectMs: number }
  stoppingMs: number | undefined
}

/**
 * One Pod on a backend, deliberately dumb: what happens to it happens at once and is written down with its time. `at` is
 * the backend's clock, which nobody else has. What the backend can still tell is `observe`; what is true is `sandboxes`.
 */
export class LedgerWorld {
  readonly uid: string
  readonly name: string
  readonly sandboxes: TrueSandbox[] = []
  /** Undefined while the backend knows nothing of the Pod. */
  #held: Held | undefined

  constructor(uid: string, name: string) {
    this.uid = uid
    this.name = name
  }

  get isHeld(): boolean {
    return this.#held !== undefined
  }

  /** Takes the Pod in; again: no effect. */
  start(atMs: number, generation: number, spec: TrueSpec): void {
    if (this.#held) return
    const allocation = { generation, spec, inEffectMs: atMs }
    this.#held = { first: this.sandboxes.length, allocation, stoppingMs: undefined }
    this.#makeSandbox(atMs)
  }

  /** Only what runs and is not being ended can be changed. */
  resize(atMs: number, generation: number, spec: TrueSpec, takesMs: number): void {
    if (this.#held) this.#held.allocation = { generation, spec, inEffectMs: atMs + takesMs }
  }

  canRun(atMs: number): boolean {
    const sandbox = this.#current
    return (
      sandbox !== undefined &&
      sandbox.lostMs > atMs &&
      !this.#running(atMs) &&
      this.#held?.stoppingMs === undefined
    )
  }

  run(atMs: number): void {
    if (this.canRun(atMs)) this.#current?.runs.push({ startedMs: atMs, finishedMs: Infinity })
  }

  /** The container ends by itself. Its Pod is over when it is not to restart. */
  end(atMs: number, forGood: boolean): void {
    const run = this.#running(atMs)
    if (!run || !this.#held) return
    run.finishedMs = Math.min(run.finishedMs, atMs)
    if (forGood) this.#held.stoppingMs ??= atMs
  }

  stop(atMs: number, takesMs: number): void {
    if (!this.#held || this.#held.stoppingMs !== undefined) return
    this.#held.stoppingMs = atMs
    const run = this.#running(atMs)
    if (run) run.finishedMs = Math.min(run.finishedMs, atMs + takesMs)
  }

  loseSandbox(atMs: number): void {
    const sandbox = this.#current
    if (!sandbox || sandbox.lostMs <= atMs) return
    sandbox.lostMs = atMs
    const run = this.#running(atMs)
    if (run) run.finishedMs = Math.min(run.finishedMs, atMs)
  }

  replaceSandbox(atMs: number): void {
    const sandbox = this.#current
    if (sandbox && sandbox.lostMs <= atMs && this.#held?.stoppingMs === undefined) this.#makeSandbox(atMs)
  }

  /** Every trace goes, and what ran with it. */
  vanish(atMs: number): void {
    this.loseSandbox(atMs)
    this.#held = undefined
  }

  /** What the backend tells at that time. */
  observe(atMs: number): PodObservation | undefined {
    const held = this.#held
    const sandbox = this.#current
    if (!held || !sandbox) return undefined
    const known = this.sandboxes.slice(held.first)
    const runs = known.flatMap(({ runs: own }) => own)
    const [last, before] = [runs.at(-1), runs.at(-2)]
    const stopped = this.#isStopped(atMs)
    const { generation, spec, inEffectMs } = held.allocation
    return {
      uid: asPodUid(this.uid),
      namespace: 'default',
      name: this.name,
      nodeName: 'burst-0',
      // A backend that lost all counts from 0 again.
      incarnation: known.length - 1,
      supervised: true,
      generation,
      phase: stopped
        ? 'stopped'
        : held.stoppingMs === undefined
          ? last
            ? 'running'
            : 'starting'
          : 'stopping',
      sandbox: {
        id: sandbox.id,
        createdAtMs: sandbox.createdMs,
        ready: !stopped && sandbox.lostMs > atMs,
        podIps: [],
      },
      allocation: {
        generation,
        resources: resourcesFor(spec),
        ...(inEffectMs <= atMs && { inEffectAtMs: inEffectMs }),
      },
      containers: [
        {
          name: 'main',
          kind: 'main',
          image: 'x',
          state: last ? stateOf(last, atMs) : { kind: 'waiting', reason: 'ContainerCreating' },
          ...(before && { lastTerminated: terminated(before) }),
          restartCount: Math.max(runs.length - 1, 0),
          started: last !== undefined,
          ready: last !== undefined,
        },
      ],
    }
  }

  /** The last thing that happened to what is held now. */
  latestMs(atMs: number): number {
    const { allocation, first } = this.#held ?? {}
    const own = first === undefined ? [] : this.sandboxes.slice(first)
    const runs = own.flatMap(({ runs: all }) => all)
    const times = [...own.map(({ createdMs }) => createdMs), allocation?.inEffectMs ?? 0]
    for (const { startedMs, finishedMs } of runs) times.push(startedMs, finishedMs)
    return Math.max(0, ...times.filter((ms) => ms <= atMs))
  }

  get #current(): TrueSandbox | undefined {
    return this.#held && this.sandboxes.at(-1)
  }

  #running(atMs: number): TrueSandbox['runs'][number] | undefined {
    const run = this.#current?.runs.at(-1)
    return run && run.finishedMs > atMs ? run : undefined
  }

  #isStopped(atMs: number): boolean {
    return this.#held?.stoppingMs !== undefined && this.#held.stoppingMs <= atMs && !this.#running(atMs)
  }

  #makeSandbox(atMs: number): void {
    const id = `${this.uid}-${this.sandboxes.length}`
    this.sandboxes.push({ id, createdMs: atMs, runs: [], lostMs: Infinity })
  }
}

export function resourcesFor({ cpuMillis, memoryMiB, gpus }: TrueSpec): PodResources {
  const requests = {
    cpu: `${cpuMillis}m`,
    memory: `${memoryMiB}Mi`,
    ...(gpus > 0n && { 'nvidia.com/gpu': String(gpus) }),
  }
  return { containers: { main: { requests } } }
}

function stateOf(run: TrueSandbox['runs'][number], atMs: number): ContainerRunState {
  return run.finishedMs <= atMs ? terminated(run) : { kind: 'running', startedAtMs: run.startedMs }
}

function terminated({ startedMs, finishedMs }: TrueSandbox['runs'][number]): TerminatedState {
  return {
    kind: 'terminated',
    exitCode: 0,
    reason: 'Completed',
    startedAtMs: startedMs,
    finishedAtMs: finishedMs,
  }
}
