import type { Store } from '../kube/api.ts'
import type { Node } from '../model/kubernetes.ts'

/** The ports of the nodes' APIs: from the first upwards, and after a restart the one that the Node says. */
export class NodePorts {
  readonly #firstPort: number
  readonly #nodes: Store<Node>
  readonly #taken = new Map<string, number>()
  /** In use by others, as we have found. */
  readonly #foreign = new Set<number>()

  constructor(firstPort: number, nodes: Store<Node>) {
    this.#firstPort = firstPort
    this.#nodes = nodes
  }

  take(node: string): number {
    const taken = new Set([...this.#taken.values(), ...this.#foreign])
    const before = this.#portOf(node)
    const port = before !== undefined && !taken.has(before) ? before : this.#free(taken)
    this.#taken.set(node, port)
    return port
  }

  /** For a node whose port turned out to be in use. */
  another(node: string): number {
    const port = this.#taken.get(node)
    if (port !== undefined) this.#foreign.add(port)
    const next = this.#free(new Set([...this.#taken.values(), ...this.#foreign]))
    this.#taken.set(node, next)
    return next
  }

  giveBack(node: string): void {
    this.#taken.delete(node)
  }

  /** Not one of a Node that is there and not served yet: it wants its own back. */
  #free(taken: ReadonlySet<number>): number {
    const kept = new Set(this.#nodes.list().map(({ metadata }) => this.#portOf(metadata?.name ?? '')))
    let port = this.#firstPort
    while (taken.has(port) || kept.has(port)) port += 1
    return port
  }

  #portOf(node: string): number | undefined {
    const { spec, status } = this.#nodes.get({ name: node }) ?? {}
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port
    const ours = spec?.providerID?.startsWith('spillway://') ?? false
    return ours && port !== undefined && port >= this.#firstPort ? port : undefined
  }
}
