import type { Cluster } from '../kube/cluster.ts'
import type { ClusterObjects } from '../scheduling/cluster-picture.ts'

/** What the scheduling room makes its pictures of, as it stands now. */
export function clusterObjects({ pods, nodes, namespaces, services }: Cluster): ClusterObjects {
  return {
    pods: pods.list(),
    nodes: nodes.list(),
    namespaces: namespaces.list(),
    services: services.list(),
  }
}
