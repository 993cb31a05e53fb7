import type { Namespace, Node, Pod } from '../model/kubernetes.ts'
import { affinityOf, hasAntiAffinity } from './pod-affinity.ts'
import { spreadOf, type PopulatedNode } from './spread.ts'

/** Why a node takes a Pod not, for the sake of the Pods that are there and elsewhere, or of its volumes. */
export interface KeptOff {
  /** Whoever comes or goes, it never will. */
  readonly isForGood: boolean
  /** It is a volume that keeps it off, where one is on other nodes. */
  readonly isVolume?: true
  readonly why: string
}

type Judge = (node: Node) => KeptOff | undefined

export interface NeighbourObjects {
  readonly nodes: readonly Node[]
  /** Bound ones that are not over. */
  readonly pods: readonly Pod[]
  readonly namespaces: ReadonlyMap<string, Namespace>
}

/** Who is where at one moment: for topology spread, and for affinity of Pods to each other. Worked out when first asked for. */
export class Neighbours {
  readonly #objects: NeighbourObjects
  /** What was counted for a Pod serves for all nodes that are asked about, and for all Pods that are like it. */
  readonly #judges = new Map<string, Judge>()
  readonly #judgeOf = new WeakMap<object, Judge>()
  #populated: readonly PopulatedNode[] | undefined
  #avoiders: readonly PopulatedNode[] | undefined

  constructor(objects: NeighbourObjects) {
    this.#objects = objects
  }

  keepOff(pod: Pod, node: Node): KeptOff | undefined {
    const { spec } = pod
    if (!spec || (!spec.topologySpreadConstraints && !this.#concernsAffinity(pod))) return undefined
    const judge = this.#judgeOf.get(spec) ?? this.#judgeLike(pod)
    this.#judgeOf.set(spec, judge)
    return judge(node)
  }

  #judgeLike(pod: Pod): Judge {
    const { namespace, labels } = pod.metadata ?? {}
    const { topologySpreadConstraints, affinity, nodeSelector, tolerations } = pod.spec ?? {}
    const key = JSON.stringify([
      namespace,
      labels,
      topologySpreadConstraints,
      affinity,
      nodeSelector,
      tolerations,
    ])
    const judge = this.#judges.get(key) ?? this.#judge(pod)
    this.#judges.set(key, judge)
    return judge
  }

  #judge(pod: Pod): Judge {
    const spread = pod.spec?.topologySpreadConstraints ? spreadOf(pod, this.#everywhere()) : undefined
    const affinity = this.#concernsAffinity(pod)
      ? affinityOf(pod, {
          populated: this.#everywhere(),
          avoiders: this.#withAvoiders(),
          namespaces: this.#objects.namespaces,
        })
      : undefined
    return (node) => {
      const apart = affinity?.(node)
      return spread?.(node) ?? (apart === undefined ? undefined : { isForGood: false, why: apart })
    }
  }

  #concernsAffinity({ spec }: Pod): boolean {
    const { podAffinity, podAntiAffinity } = spec?.affinity ?? {}
    return podAffinity !== undefined || podAntiAffinity !== undefined || this.#withAvoiders().length > 0
  }

  #everywhere(): readonly PopulatedNode[] {
    this.#populated ??= populate(this.#objects.nodes, this.#objects.pods)
    return this.#populated
  }

  #withAvoiders(): readonly PopulatedNode[] {
    const avoiding = (): readonly Pod[] => this.#objects.pods.filter(hasAntiAffinity)
    this.#avoiders ??= populate(this.#objects.nodes, avoiding()).filter(({ pods }) => pods.length > 0)
    return this.#avoiders
  }
}

function populate(nodes: readonly Node[], pods: readonly Pod[]): readonly PopulatedNode[] {
  const byNode = Map.groupBy(pods, ({ spec }) => spec?.nodeName ?? '')
  return nodes.map((node) => ({ node, pods: byNode.get(node.metadata?.name ?? '') ?? [] }))
}
