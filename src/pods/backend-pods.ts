import type { Backend, NodeFacts, PodHappening } from '../backends/backend.ts'
import { runController } from '../control/controller.ts'
import { KeyQueue } from '../control/queue.ts'
import { runTasks, superviseTask, type Task } from '../control/tasks.ts'
import type { KubeApi, Store } from '../kube/api.ts'
import { reflect } from '../kube/reflector.ts'
import { pods } from '../kube/resources.ts'
import { ObjectStore } from '../kube/store.ts'
import type { AdmissionRule, BudgetRefused } from '../lifecycle/admission.ts'
import type { Clock } from '../model/clock.ts'
import type { Node, Pod, RuntimeClass, Service } from '../model/kubernetes.ts'
import { asPodUid, podRef, type PodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import { DesiredPods } from './desired-pods.ts'
import { evictForCritical, type WatchedPods } from './evict.ts'
import { LocalStorage } from './local-storage.ts'
import type { Meter, MeteredNode } from './meter.ts'
import { Observations } from './observations.ts'
import { Orphans } from './orphans.ts'
import type { PodEventSink } from './pod-event.ts'
import { NodeSources } from './pod-sources.ts'
import { PodWorker } from './pod-worker.ts'
import { sandboxRules } from './sandbox-rules.ts'
import { ShortageRelief } from './shortage-relief.ts'
import { StatusReporter } from './status-reporter.ts'

export interface BackendPodsOptions {
  readonly backend: Backend
  /** The controller's identity: for the orphans' live GET. */
  readonly api: KubeApi
  readonly services: Store<Service>
  readonly runtimeClasses: Store<RuntimeClass>
  readonly meter: Meter
  readonly recordEvent: PodEventSink
  readonly clock: Clock
  readonly random: () => number
  /** Milliseconds to wait after that many failures of a watch in a row. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

export interface ServedNode {
  readonly name: string
  /** Of now: what starts from now on is booked so. */
  readonly metered: () => MeteredNode
  /** The pool's own rules of who may come. */
  readonly policy: readonly AdmissionRule[]
  /** Why a Pod may not start here for what it costs. */
  readonly budget: (pod: Pod) => BudgetRefused | undefined
  readonly facts: () => NodeFacts
  /** As the node: it may see and write its own Pods. */
  readonly api: KubeApi
  /** The Node object as the API server has it, once it does. */
  readonly node: () => Node | undefined
}

const concurrency = 64
// The net under everything that is told by events, and the heartbeat of the ledger.
const resyncMs = 30_000
const sweepMs = 30_000
// How often kubelet's eviction manager looks.
const evictionMs = 10_000

/** The Pods of all virtual nodes of one backend: who says "look again", and who looks. */
export class BackendPods {
  readonly observations: Observations
  readonly #options: BackendPodsOptions
  readonly #queue: KeyQueue
  readonly #nodes = new Map<string, NodePods>()
  /** Of nodes that are no longer served: it ends what they left behind. */
  readonly #departed: NodePods
  #haltedReason: string | undefined
  /** Monotonic: when all Pods were last looked at; undefined before the first time. */
  #lookedAtMs: number | undefined

  constructor(options: BackendPodsOptions) {
    this.#options = options
    this.#queue = new KeyQueue({ clock: options.clock, concurrency })
    this.observations = new Observations({
      changed: (uid) => this.#queue.add(uid),
      happened: (uid, happening) => this.#happened(uid, happening),
    })
    this.#departed = this.#nodePods({ name: '', ...nobody, api: options.api })
    this.#departed.store.replaceAll([])
  }

  /** Serves one more virtual node until the signal is aborted; while `run` runs. Its Pods go on running. */
  async serveNode(served: ServedNode, signal: AbortSignal): Promise<void> {
    const { name, api } = served
    const node = this.#nodePods(served)
    this.#nodes.set(name, node)
    try {
      await this.#reflect(name, api, node.store, signal)
    } finally {
      this.#nodes.delete(name)
      await Promise.all(node.working)
      node.sources.close()
    }
  }

  #nodePods({ name, metered, policy, budget, facts, api, node }: ServedNode): NodePods {
    const { backend, backoff, clock, log, meter, recordEvent, services, runtimeClasses } = this.#options
    const store = new ObjectStore<Pod>({ log })
    const desired = new DesiredPods(store, (uid) => this.#queue.add(uid))
    const sources = new NodeSources({ api, services, runtimeClasses, nodeFacts: facts, clock, backoff, log })
    const reporter = new StatusReporter({ api, nodeIps: facts().ips, clock })
    const worker = new PodWorker({
      backend,
      desired,
      observations: this.observations,
      sources: (pod) => sources.of(pod),
      sandboxes: sandboxRules({ backend, choice: () => facts().sandbox, runtimeClasses }),
      changed: (uid) => this.#queue.add(uid),
      settled: (uid) => sources.settled(uid),
      node,
      neighbours: () =>
        [...this.#nodes].flatMap(([other, { worker }]) => (other === name ? [] : worker.admitted())),
      preempt: (pod, signal) =>
        evictForCritical({ node: this.#patching(api, desired), pod, recordEvent, clock }, signal),
      metered,
      policy,
      budget,
      meter,
      reporter,
      recordEvent,
      clock,
      log: log.child({ node: name }),
    })
    return { api, desired, sources, store, worker, working: new Set() }
  }

  /** Looks after the Pods of all served nodes until the signal is aborted. Pods go on running. */
  async run(signal: AbortSignal): Promise<void> {
    const tasks: Record<string, Task> = {
      controller: (inner) => this.#reconcile(inner),
      backend: this.#supervised('watch of the backend', (inner) =>
        this.observations.follow(this.#options.backend, inner),
      ),
      resync: this.#every(resyncMs, () => this.#resync()),
      evictions: this.#supervised('evictions', this.#every(evictionMs, this.#evictions())),
      orphans: this.#supervised('orphan sweep', this.#every(sweepMs, this.#orphanSweep())),
    }
    await runTasks(tasks, signal)
  }

  /** The Pods that the API server has bound to the node. */
  podsOn(nodeName: string): readonly Pod[] {
    return this.#nodes.get(nodeName)?.store.list() ?? []
  }

  /** The Pod of that name on any node served here. */
  findPod(namespace: string, name: string): Pod | undefined {
    for (const { store } of this.#nodes.values()) {
      const pod = store.get({ namespace, name })
      if (pod) return pod
    }
    return undefined
  }

  /** Why orphans are not ended just now; undefined when they are. */
  get orphansHalted(): string | undefined {
    return this.#haltedReason
  }

  /** For how long not all Pods were looked at; a little more than `resyncMs` at most, unless this hangs. */
  get silentForMs(): number {
    return this.#lookedAtMs === undefined ? 0 : this.#options.clock.monotonicMs() - this.#lookedAtMs
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    const { clock, log, random } = this.#options
    const reconcile = async (key: string, inner: AbortSignal) => {
      const uid = asPodUid(key)
      const node = this.#nodeOf(uid)
      if (!node) return {}
      const work = node.worker.syncPod(uid, inner)
      const ended = work.then(nothing, nothing)
      node.working.add(ended)
      try {
        return await work
      } finally {
        node.working.delete(ended)
      }
    }
    await runController({ name: 'pods', queue: this.#queue, reconcile, clock, random, log }, signal)
  }

  #nodeOf(uid: PodUid): NodePods | undefined {
    for (const node of this.#nodes.values()) if (node.desired.get(uid).kind !== 'unknown') return node
    const observed = this.observations.get(uid)
    return observed && (this.#nodes.get(observed.nodeName) ?? this.#departed)
  }

  #happened(uid: PodUid, { type, reason, message, fieldPath }: PodHappening): void {
    const desired = this.#nodeOf(uid)?.desired.get(uid)
    if (!desired || desired.kind === 'unknown') return
    const pod = desired.kind === 'present' ? desired.pod : desired.lastSeen
    this.#options.recordEvent(pod, { type, reason, message, ...(fieldPath !== undefined && { fieldPath }) })
  }

  #resync(): Promise<void> {
    this.#lookedAtMs = this.#options.clock.monotonicMs()
    for (const { uid } of this.observations.all()) this.#queue.add(uid)
    for (const { store, worker } of this.#nodes.values()) {
      worker.retryResizes()
      for (const { metadata } of store.list()) if (metadata?.uid) this.#queue.add(metadata.uid)
    }
    return Promise.resolve()
  }

  #evictions(): (signal: AbortSignal) => Promise<void> {
    const { backend, clock, log, recordEvent } = this.#options
    const observed = (uid: PodUid) => this.observations.get(uid)
    const localStorage = new LocalStorage({ backend, recordEvent })
    const relief = new ShortageRelief({ backend, observed, recordEvent, clock, log })
    return async (signal) => {
      await localStorage.look(this.#watchedPods(), signal)
      await relief.look(this.#watchedPods(), signal)
    }
  }

  #watchedPods(): readonly WatchedPods[] {
    return [...this.#nodes.values()].map(({ api, desired, worker }) => ({
      pods: worker.admitted(),
      ...this.#patching(api, desired),
    }))
  }

  #patching(api: KubeApi, desired: DesiredPods): Omit<WatchedPods, 'pods'> {
    return {
      api,
      wrote: (pod) => {
        desired.wrote(podRef(pod).uid, pod)
        this.#queue.add(podRef(pod).uid)
      },
    }
  }

  #orphanSweep(): (signal: AbortSignal) => Promise<void> {
    const { api, backend, clock, log } = this.#options
    const orphans = new Orphans({
      backend,
      api,
      clock,
      log,
      desiredOf: (nodeName) => (this.#nodes.get(nodeName) ?? this.#departed).desired,
      confirmed: (uid) => this.#queue.add(uid),
      halted: (reason) => {
        this.#haltedReason = reason
      },
    })
    return (signal) => orphans.sweep(signal)
  }

  async #reflect(name: string, api: KubeApi, store: ObjectStore<Pod>, signal: AbortSignal): Promise<void> {
    const { backoff, clock, log } = this.#options
    // The selector is also what the Node authorizer asks of a node that lists Pods.
    const selection = { fieldSelector: `spec.nodeName=${name}` }
    await reflect({ api, resource: pods, selection, store, clock, backoff, log }, signal)
  }

  #every(periodMs: number, action: (signal: AbortSignal) => Promise<void>): Task {
    return async (signal) => {
      while (!signal.aborted) {
        await this.#options.clock.sleep(periodMs, signal)
        await action(signal)
      }
    }
  }

  #supervised(name: string, task: Task): Task {
    const { clock, log, random } = this.#options
    return (signal) => superviseTask({ name, clock, random, log }, task, signal)
  }
}

interface NodePods {
  readonly api: KubeApi
  readonly desired: DesiredPods
  readonly sources: NodeSources
  readonly store: ObjectStore<Pod>
  readonly worker: PodWorker
  /** Resolve as what is in flight ends, well or not. */
  readonly working: Set<Promise<void>>
}

function nothing(): void {}

/** Nothing is started for it, so nothing of this is read. */
const nobody = {
  metered: () => ({ pool: '', node: '', priceBook: '' }),
  policy: [],
  budget: () => undefined,
  facts: () => ({
    name: '',
    ips: [],
    clusterDns: [],
    clusterDomain: '',
    allocatableCpuMillis: 0n,
    allocatableMemoryBytes: 0n,
  }),
  node: () => undefined,
}
