import type { PoolConfig } from '../config/pool.ts'
import { superviseTask, untilAborted } from '../control/tasks.ts'
import { byNode } from '../kube/cluster.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import { errorMessage } from '../model/errors.ts'
import { virtualNodeName } from '../model/virtual-node-name.ts'
import { nodeCapacity } from '../node/capacity.ts'
import type { NodeShape } from '../node/keep-node.ts'
import type { NodeHost } from '../pools/node-host.ts'
import type { BackendStack } from './backend-stack.ts'
import type { BudgetDesk } from './budgets.ts'
import type { House } from './house.ts'
import { NodePorts } from './node-ports.ts'
import { serveVirtualNode } from './virtual-node.ts'

interface Hosted {
  readonly name: string
  readonly pool: string
  readonly ordinal: number
  port: number
  retiring: boolean
  inUse: boolean
  problem: string | undefined
  readonly ending: AbortController
  readonly ended: Promise<void>
  readonly listeners: Set<() => void>
}

/** The virtual nodes that this process is. They come and go as pools ask for it; each is started again when it fails. */
export class VirtualNodes implements NodeHost {
  readonly #house: House
  readonly #stacks: readonly BackendStack[]
  readonly #budgets: BudgetDesk
  readonly #hosted = new Map<string, Hosted>()
  /** Of each pool, as it was last taken: an edit that cannot be is not one. */
  readonly #configs = new Map<string, PoolConfig>()
  readonly #ports: NodePorts
  readonly #listeners = new Set<(pool: string) => void>()
  readonly #addresses = new Map<string, readonly string[]>()
  /** Nodes by backend, until one comes or goes. */
  readonly #counts = new Map<string, number>()
  #over = false

  constructor(house: House, stacks: readonly BackendStack[], budgets: BudgetDesk) {
    this.#house = house
    this.#stacks = stacks
    this.#budgets = budgets
    this.#ports = new NodePorts(house.config.nodeApi.firstPort, house.cluster.nodes)
  }

  /** Whom the process may vouch for. Changes with the nodes. */
  get addresses(): ReadonlyMap<string, readonly string[]> {
    return this.#addresses
  }

  get names(): readonly string[] {
    return [...this.#hosted.keys()]
  }

  start({ pool, ordinal, retiring }: { pool: string; ordinal: number; retiring: boolean }): void {
    const name = virtualNodeName(pool, ordinal)
    if (this.#hosted.has(name) || this.#over) return
    const port = this.#ports.take(name)
    const ending = new AbortController()
    const begun = Promise.withResolvers<void>()
    const node: Hosted = {
      name,
      pool,
      ordinal,
      port,
      retiring,
      inUse: this.#isInUse(name),
      problem: undefined,
      ending,
      ended: begun.promise,
      listeners: new Set(),
    }
    this.#hosted.set(name, node)
    this.#counts.clear()
    this.#addresses.set(name, [this.#house.config.nodeApi.address])
    this.#reshape(pool)
    void this.#run(node).finally(begun.resolve)
  }

  async stop(name: string): Promise<void> {
    const node = this.#hosted.get(name)
    if (!node) return
    node.ending.abort()
    await node.ended
    this.#hosted.delete(name)
    this.#counts.clear()
    this.#addresses.delete(name)
    this.#ports.giveBack(name)
    this.#reshape(node.pool)
  }

  setRetiring(name: string, retiring: boolean): void {
    const node = this.#hosted.get(name)
    if (!node || node.retiring === retiring) return
    node.retiring = retiring
    this.#changed(node)
  }

  served(pool: string): readonly Hosted[] {
    return [...this.#hosted.values()].filter((node) => node.pool === pool)
  }

  subscribe(listener: (pool: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Follows what changes the nodes' shapes until the signal is aborted; then waits until no node runs any more. */
  async run(signal: AbortSignal): Promise<void> {
    const { cluster, ledgerHealth, pools } = this.#house
    const ends = [
      ledgerHealth.subscribe(() => this.#hosted.forEach((node) => this.#changed(node))),
      pools.subscribe((pool) => this.#reshape(pool)),
      this.#budgets.pools.subscribe((pool) => this.served(pool).forEach((node) => this.#changed(node))),
      cluster.pods.subscribe(({ before, after }) => {
        const node = this.#hosted.get(after?.spec?.nodeName ?? before?.spec?.nodeName ?? '')
        const inUse = node && this.#isInUse(node.name)
        if (!node || inUse === undefined || node.inUse === inUse) return
        node.inUse = inUse
        this.#changed(node)
      }),
    ]
    await untilAborted(signal)
    for (const end of ends) end()
    this.#over = true
    for (const { ending } of this.#hosted.values()) ending.abort()
    await Promise.all([...this.#hosted.values()].map(({ ended }) => ended))
  }

  async #run(node: Hosted): Promise<void> {
    const { world } = this.#house
    const serve = async (inner: AbortSignal): Promise<void> => {
      try {
        await this.#serve(node, inner)
      } catch (error) {
        if (inner.aborted) return
        this.#setProblem(node, errorMessage(error))
        // Somebody else's: the next try is at another.
        if (isPortTaken(error)) node.port = this.#ports.another(node.name)
        throw error
      }
    }
    await superviseTask({ name: `node ${node.name}`, ...world }, serve, node.ending.signal)
  }

  async #serve(node: Hosted, signal: AbortSignal): Promise<void> {
    const stack = this.#stackOf(node.pool)
    const { name, pool, ordinal, port } = node
    await serveVirtualNode(
      this.#house,
      {
        name,
        pool,
        ordinal,
        port,
        stack,
        budgets: this.#budgets,
        shape: () => this.#shapeOf(node, stack),
        onShape: (listener) => {
          node.listeners.add(listener)
          return () => void node.listeners.delete(listener)
        },
        serving: () => this.#setProblem(node, undefined),
      },
      signal,
    )
  }

  #shapeOf({ pool, retiring, inUse }: Hosted, { name, capacity }: BackendStack): NodeShape {
    const config = this.#configOf(pool)
    return {
      pool: config,
      use: { retiring, inUse },
      capacity: nodeCapacity(config, capacity, this.#nodesOn(name)),
      budget: this.#budgets.pools.ofNodes(pool),
      ledger: this.#house.ledgerHealth.finding,
    }
  }

  #nodesOn(backend: string): number {
    const known = this.#counts.get(backend)
    if (known !== undefined) return known
    const nodes = [...this.#hosted.values()].filter((node) => this.#configOf(node.pool).backend === backend)
    this.#counts.set(backend, nodes.length)
    return nodes.length
  }

  #configOf(pool: string): PoolConfig {
    const known = this.#house.pools.get(pool)?.config
    if (known) this.#configs.set(pool, known)
    const config = known ?? this.#configs.get(pool)
    if (!config) throw new Error(`pool ${pool} was never taken, and a node of it is to be served`)
    return config
  }

  #stackOf(pool: string): BackendStack {
    const { backend } = this.#configOf(pool)
    const stack = this.#stacks.find(({ name }) => name === backend)
    if (!stack) throw new Error(`pool ${pool} was taken with backend ${backend}, which is not there`)
    return stack
  }

  /** Nodes of one backend share what it has: one more or less changes all of them. */
  #reshape(pool: string): void {
    if (!this.#house.pools.get(pool)?.config && !this.#configs.has(pool)) return
    const { backend } = this.#configOf(pool)
    for (const node of this.#hosted.values()) {
      if (this.#configOf(node.pool).backend === backend) this.#changed(node)
    }
  }

  #setProblem(node: Hosted, problem: string | undefined): void {
    if (node.problem === problem) return
    node.problem = problem
    for (const listener of this.#listeners) listener(node.pool)
  }

  #changed(node: Hosted): void {
    for (const listener of node.listeners) listener()
  }

  #isInUse(name: string): boolean {
    return this.#house.cluster.pods.byIndex(byNode, name).some((pod) => !isTerminal(pod))
  }
}

function isPortTaken(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
}
