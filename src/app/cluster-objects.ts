import type { ClusterObjects } from '../scheduling/cluster-picture.ts'
import type { House } from './house.ts'

/** What the scheduling room makes its pictures of, as it stands now. */
export function clusterObjects({ cluster, volumes }: Pick<House, 'cluster' | 'volumes'>): ClusterObjects {
  const { pods, nodes, namespaces, services } = cluster
  return {
    volumes: volumes.objects(),
    pods: pods.list(),
    nodes: nodes.list(),
    namespaces: namespaces.list(),
    services: services.list(),
  }
}
