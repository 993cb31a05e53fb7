import { join } from 'node:path'
import type { ClusterShape } from './cluster-file.ts'
import { serverNodeName, type ClusterLayout } from './cluster-layout.ts'

/** A running embedded cluster, as whoever configures Spillway for it needs to know it. */
export interface EmbeddedCluster extends ClusterLayout {
  readonly shape: ClusterShape
  /** As in `https://10.200.1.2:6443`. */
  readonly apiServerUrl: string
  /** Of ServiceAccount `spillway-system/spillway`. */
  readonly spillwayKubeconfig: string
  /** PEM: signs the API server, the kubelets and every client. Requests to nodes come with certificates of it. */
  readonly caFile: string
  /** As in `http://10.200.1.2:5000`; reachable from the host too. */
  readonly registryUrl: string
  /** Left out without a server node. */
  readonly serverNode?: string
  /** Those of the start, in order: `burst-0`, `burst-1`, … */
  readonly virtualNodes: readonly VirtualNodePlace[]
  /** For Spillway's own state: ledger, volumes, logs. Exists. */
  readonly spillwayDir: string
  readonly clusterDnsAddress: string
  readonly clusterDomain: string
}

export interface VirtualNodePlace {
  readonly name: string
  /** Where its kubelet API listens, on `nodeAddress`. */
  readonly kubeletPort: number
}

export const virtualPoolName = 'burst'

export function virtualNodeNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, ordinal) => `${virtualPoolName}-${ordinal}`)
}

/** Everything about a cluster that follows from its layout and its shape. */
export function describeCluster(layout: ClusterLayout, shape: ClusterShape): EmbeddedCluster {
  const { pkiDir, nodeAddress, ports } = layout
  return {
    ...layout,
    shape,
    apiServerUrl: `https://${nodeAddress}:${ports.apiServer}`,
    spillwayKubeconfig: join(layout.stateDir, 'spillway.kubeconfig'),
    caFile: join(pkiDir, 'ca.crt'),
    registryUrl: `http://${nodeAddress}:${ports.registry}`,
    ...(shape.serverNode ? { serverNode: serverNodeName } : {}),
    virtualNodes: virtualNodeNames(shape.virtualNodes).map((name, ordinal) => ({
      name,
      kubeletPort: ports.virtualKubelet + ordinal,
    })),
    spillwayDir: join(layout.stateDir, 'spillway'),
    clusterDnsAddress: '10.96.0.10',
    clusterDomain: 'cluster.local',
  }
}
