import type { BackendHealth } from '../backends/backend.ts'
import { runController } from '../control/controller.ts'
import { KeyQueue } from '../control/queue.ts'
import { runTasks } from '../control/tasks.ts'
import type { KubeApi, Store } from '../kube/api.ts'
import type { EventSink } from '../kube/events.ts'
import { keepLease } from '../kube/lease.ts'
import { nodes as nodeResource } from '../kube/resources.ts'
import { sandboxFinding, type SandboxFinding } from '../lifecycle/sandbox-finding.ts'
import type { BudgetFinding } from '../model/budget-finding.ts'
import type { Capabilities } from '../model/capability.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { Node } from '../model/kubernetes.ts'
import type { LedgerFinding } from '../model/ledger-finding.ts'
import { providerId, virtualNodeName } from '../model/virtual-node-name.ts'
import { sandboxReadyCondition } from '../model/words.ts'
import type { Log } from '../telemetry/log.ts'
import type { BackendState, BackendWatch } from './backend-watch.ts'
import { nodeConditions, notReadyAfterMs } from './conditions.ts'
import { nodeObject, type NodeCapacity, type NodeInput, type NodePool, type NodeUse } from './node-object.ts'
import { objectPatch, statusDiffers, statusPatch } from './node-patches.ts'

/** What may change while the node is there. */
export interface NodeShape {
  readonly pool: NodePool
  readonly use: NodeUse
  readonly capacity: NodeCapacity
  /** Left out: its pool has no budget. */
  readonly budget?: BudgetFinding | undefined
  /** Left out: nothing is said of it. */
  readonly ledger?: LedgerFinding | undefined
}

export interface KeepNodeOptions extends Omit<NodeInput, keyof NodeShape | 'versions' | 'capabilities'> {
  readonly poolName: string
  readonly shape: () => NodeShape
  /** Calls back when `shape` may have changed. Returns the end of the subscription. */
  readonly onShape: (listener: () => void) => () => void
  /** As `system:node:<name>`: status and lease, which is all that NodeRestriction leaves a node of its own object. */
  readonly api: Pick<KubeApi, 'get' | 'create' | 'replace' | 'patch'>
  /** As the controller: creates the Node, sets labels and taints. */
  readonly controllerApi: Pick<KubeApi, 'get' | 'create' | 'patch'>
  /** All Nodes, or this one. */
  readonly nodes: Store<Node>
  /** Run by the caller: nodes of one backend share it. */
  readonly backend: Pick<BackendWatch, 'state' | 'subscribe'>
  /** The backend's of now: its runtime may have been changed. */
  readonly capabilities: () => Capabilities
  readonly versions: { readonly server: string; readonly spillway: string }
  readonly events: EventSink
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Called with the Node as the API server has it, after each write of ours; for what needs its UID. */
  readonly onRegistered?: (node: Node) => void
}

/** Kubelet's nodeStatusReportFrequency: what changed is reported at once, the rest is a sign of life for people. */
const statusIntervalMs = 5 * 60_000

/** A Node that is not ours, or a right that is missing, is for people to mend. */
const helplessRetryMs = 30_000

/**
 * Is a virtual node until the signal is aborted, then resolves and leaves the Node as it is, for the next process to
 * adopt: a Node that is deleted takes its Pods with it. Creates it or adopts it, re-creates it when deleted, keeps its
 * labels, taints, conditions and lease. Never rejects for what the API server does.
 */
export async function keepNode(options: KeepNodeOptions, signal: AbortSignal): Promise<void> {
  const { api, poolName, ordinal, clock, random, log } = options
  const keeper = new NodeKeeper(options)
  await runTasks(
    {
      object: async (signal) => keeper.run(signal),
      lease: async (signal) =>
        keepLease(
          {
            api,
            nodeName: virtualNodeName(poolName, ordinal),
            nodeUid: () => keeper.uid,
            clock,
            random,
            log,
          },
          signal,
        ),
    },
    signal,
  )
}

class NodeKeeper {
  readonly #options: KeepNodeOptions
  readonly #name: string
  /** The answer to our last write, while the watch is behind it. */
  #written: Node | undefined
  /** Monotonic. */
  #statusDueMs = 0

  constructor(options: KeepNodeOptions) {
    this.#options = options
    this.#name = virtualNodeName(options.poolName, options.ordinal)
  }

  get uid(): string | undefined {
    const node = this.#node()
    return node && this.#isOurs(node) ? node.metadata?.uid : undefined
  }

  async run(signal: AbortSignal): Promise<void> {
    const { nodes, backend, onShape, clock, random, log } = this.#options
    try {
      await nodes.whenSynced(signal)
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    const queue = new KeyQueue({ clock, concurrency: 1 })
    let seen = ''
    const ends = [
      nodes.subscribe(({ before, after }) => {
        if ((after ?? before)?.metadata?.name !== this.#name) return
        if (!after && before?.metadata?.uid === this.#written?.metadata?.uid) this.#written = undefined
        queue.add(this.#name)
      }),
      onShape(() => queue.add(this.#name)),
      backend.subscribe(() => {
        // Only what is new: the back-off after an error is not to be cut short every second.
        const now = healthText(backend.state?.health)
        if (now !== seen) queue.add(this.#name)
        seen = now
      }),
    ]
    queue.add(this.#name)
    const reconcile = async (_name: string, signal: AbortSignal) => this.#reconcile(signal)
    try {
      await runController({ name: 'node', queue, reconcile, clock, random, log }, signal)
    } finally {
      for (const end of ends) end()
    }
  }

  async #reconcile(signal: AbortSignal): Promise<{ afterMs?: number }> {
    const { backend, clock } = this.#options
    const state = backend.state
    if (!state) return {}
    try {
      const node = this.#node() ?? (await this.#create(state, signal))
      if (!this.#isOurs(node)) return this.#refuse(node)
      await this.#updateObject(node, state, signal)
      await this.#updateStatus(state, signal)
    } catch (error) {
      if (hasCode(error, 'NotFound')) {
        // Deleted, and the watch has not said so yet.
        this.#written = undefined
        throw new SpillwayError('Conflict', errorMessage(error), { cause: error })
      }
      if (!(error instanceof SpillwayError) || error.retry || signal.aborted) throw error
      this.#options.log.error({ node: this.#name, error: error.message }, 'Node not written')
      return { afterMs: helplessRetryMs }
    }
    const leftMs = [this.#statusDueMs - clock.monotonicMs()]
    const lostMs = this.#lostForMs(state)
    if (lostMs !== undefined && lostMs < notReadyAfterMs) leftMs.push(notReadyAfterMs - lostMs)
    return { afterMs: Math.max(Math.min(...leftMs), 1) }
  }

  async #create(state: BackendState, signal: AbortSignal): Promise<Node> {
    const { controllerApi, log } = this.#options
    try {
      const node = await controllerApi.create(nodeResource, this.#wanted(undefined, state), signal)
      log.info({ node: this.#name }, 'Node created')
      this.#tellNoSandbox(undefined, node)
      return this.#wrote(node)
    } catch (error) {
      if (!hasCode(error, 'Conflict')) throw error
      return this.#wrote(await controllerApi.get(nodeResource, { name: this.#name }, signal))
    }
  }

  async #updateObject(node: Node, state: BackendState, signal: AbortSignal): Promise<void> {
    const { controllerApi, log, shape } = this.#options
    const lost = {
      backend: !state.health.runtime.ok,
      sandbox: this.#sandbox().status === 'False',
      ledger: shape().ledger?.status === 'False',
    }
    const body = objectPatch(node, this.#wanted(node, state), lost)
    if (!body) return
    const patch = { type: 'merge', body } as const
    this.#wrote(await controllerApi.patch(nodeResource, { name: this.#name }, patch, signal))
    log.info({ node: this.#name, lost }, 'Node labels or taints set')
  }

  async #updateStatus(state: BackendState, signal: AbortSignal): Promise<void> {
    const { api, clock, random, log } = this.#options
    const node = this.#node()
    const wanted = this.#wanted(node, state).status ?? {}
    const differs = statusDiffers(node?.status, wanted)
    if (!differs && clock.monotonicMs() < this.#statusDueMs) return
    const patch = {
      type: 'strategic',
      subresource: 'status',
      body: statusPatch(node?.status, wanted),
    } as const
    const written = this.#wrote(await api.patch(nodeResource, { name: this.#name }, patch, signal))
    this.#tellNoSandbox(node, written)
    this.#statusDueMs = clock.monotonicMs() + Math.round(statusIntervalMs * (0.9 + 0.2 * random()))
    if (differs) log.info({ node: this.#name, health: state.health }, 'Node status set')
  }

  #wanted(node: Node | undefined, state: BackendState): Node {
    const { capabilities, versions, clock, shape } = this.#options
    const { budget, ledger, ...shaped } = shape()
    const conditions = nodeConditions({
      sandbox: this.#sandbox(),
      budget,
      ledger,
      health: state.health,
      lostForMs: this.#lostForMs(state),
      previous: node?.status?.conditions ?? [],
      nowWallMs: clock.wallMs(),
    })
    const runtime = state.health.runtimeVersion
    const input = {
      ...this.#options,
      ...shaped,
      capabilities: capabilities(),
      versions: { ...versions, runtime },
    }
    return nodeObject(input, conditions)
  }

  #sandbox(): SandboxFinding {
    const { capabilities, shape } = this.#options
    return sandboxFinding(capabilities(), shape().pool.sandbox)
  }

  /** Told when it begins, by what the Node said before: a restart of ours begins nothing. */
  #tellNoSandbox(before: Node | undefined, node: Node): void {
    const [was, is] = [before, node].map((one) =>
      one?.status?.conditions?.find(({ type }) => type === sandboxReadyCondition),
    )
    if (is?.status !== 'False' || (was?.status === 'False' && was.message === is.message)) return
    const { name = '', uid = '' } = node.metadata ?? {}
    const object = { apiVersion: 'v1', kind: 'Node', name, uid }
    const message = is.message ?? ''
    this.#options.events.record({ object, type: 'Warning', reason: 'NoSandboxHandler', message })
  }

  #lostForMs({ lostSinceMs }: BackendState): number | undefined {
    return lostSinceMs === undefined ? undefined : this.#options.clock.monotonicMs() - lostSinceMs
  }

  #wrote(node: Node): Node {
    this.#written = node
    this.#options.onRegistered?.(node)
    return node
  }

  /** The Node in its newest known form. */
  #node(): Node | undefined {
    const stored = this.#options.nodes.get({ name: this.#name })
    if (!this.#written || (stored && version(stored) >= version(this.#written))) return stored
    return this.#written
  }

  /** Our provider ID can be on no other Node; labels could. */
  #isOurs({ spec }: Node): boolean {
    return spec?.providerID === providerId(this.#options.poolName, this.#options.ordinal)
  }

  #refuse({ spec }: Node): { afterMs: number } {
    this.#options.log.error(
      { node: this.#name, providerId: spec?.providerID ?? '' },
      'a Node of this name exists and is not ours: rename the pool, or delete that Node',
    )
    return { afterMs: helplessRetryMs }
  }
}

/** Comparable within one resource (KEP-5504 made official what every API server on etcd has always done). */
function version({ metadata }: Node): bigint {
  const text = metadata?.resourceVersion ?? ''
  return /^\d+$/.test(text) ? BigInt(text) : 0n
}

/** What the Node says of it: without the amounts, which change all the time. */
function healthText(health: BackendHealth | undefined): string {
  return JSON.stringify(health, (key, value: unknown) => (key === 'shortage' ? undefined : value))
}
