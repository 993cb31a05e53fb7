import type { Node, Pod } from '../model/kubernetes.ts'
import { parseProviderId, virtualNodeName } from '../model/virtual-node-name.ts'
import { retiringAnnotation } from '../model/words.ts'
import { mustBeDrained } from './drain-pods.ts'
import type { HostedNode } from './node-host.ts'

/** One node of a pool: as this process serves it, as the API server has it, and the Pods there. */
export interface MemberNode {
  readonly name: string
  readonly ordinal: number
  /** Undefined: it is not served (yet). */
  readonly hosted: HostedNode | undefined
  /** Undefined: it is not registered (yet). */
  readonly object: Node | undefined
  readonly retiring: boolean
  readonly cordoned: boolean
  /** Those that must be gone before the node may go; ended ones too. */
  readonly pods: readonly Pod[]
}

/** The nodes of a pool that are served or registered, by ordinal. */
export function memberNodes(
  pool: string,
  hosted: readonly HostedNode[],
  nodes: readonly Node[],
  podsOn: (node: string) => readonly Pod[],
): MemberNode[] {
  const objects = new Map<number, Node>()
  for (const node of nodes) {
    const place = parseProviderId(node.spec?.providerID)
    if (place?.pool === pool && node.metadata?.name === virtualNodeName(pool, place.ordinal)) {
      objects.set(place.ordinal, node)
    }
  }
  const ordinals = new Set([...hosted.map(({ ordinal }) => ordinal), ...objects.keys()])
  return [...ordinals]
    .sort((a, b) => a - b)
    .map((ordinal) => {
      const name = virtualNodeName(pool, ordinal)
      const served = hosted.find((node) => node.ordinal === ordinal)
      const object = objects.get(ordinal)
      return {
        name,
        ordinal,
        hosted: served,
        object,
        // Until it is served, the Node tells what was going on when the last process ended.
        retiring: served?.retiring ?? object?.metadata?.annotations?.[retiringAnnotation] === 'true',
        cordoned: object?.spec?.unschedulable ?? false,
        pods: podsOn(name).filter(mustBeDrained),
      }
    })
}
