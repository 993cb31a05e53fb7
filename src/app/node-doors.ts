import type { Store } from '../kube/api.ts'
import { isIP } from 'node:net'
import type { Node } from '../model/kubernetes.ts'
import type { KnownDoors, NodeDoor } from '../model/node-door.ts'

// Kubelet's, where somebody has opened it; nodes do not tell of it.
const readOnlyPort = 10_255
// Kubelet's default, for a Node that tells none.
const kubeletPort = 10_250

/** Where the kubelets of all nodes answer, live. */
export function nodeDoors(nodes: Store<Node>): KnownDoors {
  return {
    list: () => nodes.list().flatMap(doorsOf),
    onChange: (listener) =>
      nodes.subscribe(({ before, after }) => {
        // Each node writes its status again and again.
        if (keyOf(before) !== keyOf(after)) listener()
      }),
  }
}

/** Of one node: each of its addresses, at the port that it tells and at the one for reading only. */
export function doorsOf({ status }: Node): readonly NodeDoor[] {
  const addresses = new Set(
    (status?.addresses ?? []).map(({ address }) => address).filter((text) => isIP(text)),
  )
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port || kubeletPort
  return [...addresses].flatMap((address) => [
    { address, port },
    { address, port: readOnlyPort },
  ])
}

function keyOf(node: Node | undefined): string {
  return node === undefined ? '' : JSON.stringify(doorsOf(node))
}
