import type { Backend, BackendEvent, PodHappening } from '../../src/backends/backend.ts'
import type { Clock } from '../../src/model/clock.ts'
import type { Container, Pod, Volume } from '../../src/model/kubernetes.ts'
import type { ContainerObservation, PodObservation } from '../../src/model/pod-observation.ts'
import type { PodUid } from '../../src/model/pod-key.ts'

/** What a container of the suite does, said without a backend's words. */
export type Workload =
  /** Runs until it is asked to end, then ends with 0 within a second. */
  | { readonly does: 'sleep' }
  /** Uses CPU time for as long as it runs; ends when it is asked to. */
  | { readonly does: 'spin' }
  /** Runs on when it is asked to end. */
  | { readonly does: 'ignoreTerm' }
  | { readonly does: 'exit'; readonly code: number; readonly afterMs?: number }
  /** The first attempt ends with 1, those after with 0. */
  | { readonly does: 'failOnce' }
  /** Prints the lines, then sleeps. */
  | { readonly does: 'print'; readonly lines: readonly string[] }
  /** Prints `line 1`, `line 2`, … and then ends with 0. */
  | { readonly does: 'count'; readonly lines: number; readonly everyMs: number }
  /** Prints the value of the variable, then sleeps. */
  | { readonly does: 'printVariable'; readonly variable: string }
  /** Has a readiness probe that succeeds only after a while; sleeps. */
  | { readonly does: 'becomeReady'; readonly afterMs: number }

/** What has to be in a Pod for one of its containers to do that. */
export interface WorkloadParts {
  readonly container: Partial<Container>
  readonly annotations?: Readonly<Record<string, string>>
  readonly volumes?: readonly Volume[]
}

/** What a backend brings to the suite. One harness a test. */
export interface BackendHarness {
  readonly clock: Clock
  /** The instance of now. */
  backend(): Backend
  /** Ends the instance as a crash of the process does, and makes another over the same runtime. */
  restartProcess(): Promise<Backend>
  workload(containerName: string, workload: Workload): WorkloadParts
  /** Lets a little time pass: a fake clock is advanced, a real one waited for. */
  pause(): Promise<void>
  /** How long (by `clock`) a wait may take before the test fails. */
  readonly patienceMs: number
  /** Leaves nothing behind. */
  close(): Promise<void>
}

/** Resolves with what the probe finds once it finds something. */
export async function until<T>(
  harness: BackendHarness,
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadlineMs = harness.clock.monotonicMs() + harness.patienceMs
  while (true) {
    const found = await probe()
    if (found !== undefined && found !== false) return found
    if (harness.clock.monotonicMs() > deadlineMs) throw new Error(`waited in vain for: ${what}`)
    await harness.pause()
  }
}

/** Follows a backend's watch, keeping all that it told. */
export class Follower {
  readonly events: BackendEvent[] = []
  readonly #ended = new AbortController()
  readonly #harness: BackendHarness
  readonly #done: Promise<void>

  constructor(harness: BackendHarness, backend: Backend = harness.backend()) {
    this.#harness = harness
    this.#done = this.#follow(backend)
  }

  get synced(): boolean {
    return this.events.some(({ kind }) => kind === 'synced')
  }

  /** Every picture of the Pod, oldest first. */
  history(uid: PodUid): PodObservation[] {
    return this.events.flatMap((event) =>
      event.kind === 'observed' && event.pod.uid === uid ? [event.pod] : [],
    )
  }

  last(uid: PodUid): PodObservation | undefined {
    return this.history(uid).at(-1)
  }

  happenings(uid: PodUid): PodHappening[] {
    return this.events.flatMap((event) =>
      event.kind === 'happened' && event.uid === uid ? [event.happening] : [],
    )
  }

  isGone(uid: PodUid): boolean {
    return this.events.some((event) => event.kind === 'gone' && event.uid === uid)
  }

  /** Resolves with the first last picture that the predicate holds of. */
  async seen(
    uid: PodUid,
    what: string,
    predicate: (pod: PodObservation) => boolean,
  ): Promise<PodObservation> {
    return await until(this.#harness, `${what} (last seen: ${this.#describe(uid)})`, () => {
      const pod = this.last(uid)
      return pod && predicate(pod) ? pod : undefined
    })
  }

  async close(): Promise<void> {
    this.#ended.abort(new Error('the follower was closed'))
    await this.#done
  }

  #describe(uid: PodUid): string {
    return JSON.stringify(this.last(uid) ?? 'nothing')
  }

  async #follow(backend: Backend): Promise<void> {
    try {
      for await (const event of backend.watch(this.#ended.signal)) this.events.push(event)
    } catch {
      // By our signal, or because the instance was closed: tests of the watch itself look at its errors.
    }
  }
}

export function containerOf(pod: PodObservation, name = 'main'): ContainerObservation {
  const found = pod.containers.find((container) => container.name === name)
  if (!found)
    throw new Error(`container ${name} is not among ${pod.containers.map((one) => one.name).join()}`)
  return found
}

export function isRunning(pod: PodObservation, name = 'main'): boolean {
  return pod.containers.some((container) => container.name === name && container.state.kind === 'running')
}

/** The exit code of a container that has ended, undefined of one that has not. */
export function exitCodeOf(pod: PodObservation, name = 'main'): number | undefined {
  const { state } = containerOf(pod, name)
  return state.kind === 'terminated' ? state.exitCode : undefined
}

/** Puts the parts of the workloads into one Pod. */
export function withWorkloads(
  harness: BackendHarness,
  pod: Pod,
  workloads: Readonly<Record<string, Workload>>,
): Pod {
  const annotations: Record<string, string> = {}
  const volumes: Volume[] = []
  const fill = (container: Container): Container => {
    const workload = workloads[container.name]
    if (!workload) return container
    const parts = harness.workload(container.name, workload)
    Object.assign(annotations, parts.annotations)
    volumes.push(...(parts.volumes ?? []))
    return { ...container, ...parts.container }
  }
  const { containers = [], initContainers } = pod.spec ?? {}
  const filled = containers.map(fill)
  const filledInit = initContainers?.map(fill)
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations: { ...pod.metadata?.annotations, ...annotations } },
    spec: {
      ...pod.spec,
      containers: filled,
      ...(filledInit && { initContainers: filledInit }),
      volumes: [...(pod.spec?.volumes ?? []), ...volumes],
    },
  }
}
