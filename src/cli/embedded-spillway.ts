import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { StatusView } from '../console/api/contract.ts'
import { allowances } from '../backends/cri/config.ts'
import { securityAllowances } from '../model/security-profile.ts'
import { virtualPoolName, type EmbeddedCluster } from '../dev-cluster/embedded-cluster.ts'
import { probeHttp } from '../dev-cluster/http-probe.ts'
import type { SpillwayLaunch } from '../dev-cluster/start-cluster.ts'
import { askAdmin } from './admin-client.ts'

/** The root of this package, with bin/ and src/. */
export const packageRoot = join(import.meta.dirname, '..', '..')

/** Where Spillway of an embedded cluster answers. */
export function adminSocketOf({ runDir }: Pick<EmbeddedCluster, 'runDir'>): string {
  return join(runDir, 'admin.sock')
}

/** Writes the configuration of an embedded cluster's Spillway, and says how to start it. */
export async function launchSpillway(cluster: EmbeddedCluster): Promise<SpillwayLaunch> {
  const file = join(cluster.stateDir, 'spillway.yaml')
  await writeFile(file, stringify(embeddedConfig(cluster)), { mode: 0o600 })
  return {
    program: {
      file: process.execPath,
      args: [join(packageRoot, 'bin/spillway.mjs'), '--config', file, 'run'],
      environment: {},
    },
    workingDir: cluster.spillwayDir,
    isReady: async (signal) => {
      try {
        const status = (await askAdmin(
          { target: adminSocketOf(cluster) },
          '/v1/status',
          {},
          signal,
        )) as StatusView
        const ready = status.nodes.filter((node) => node.ready).length
        if (ready !== cluster.shape.virtualNodes) return undefined
        return (await areServing(cluster, signal)) ? true : undefined
      } catch {
        signal.throwIfAborted()
        return undefined
      }
    },
  }
}

/** Whether each node serves with a certificate of the cluster's: until then `kubectl logs` would be refused. */
async function areServing(
  { virtualNodes, nodeAddress, caFile }: EmbeddedCluster,
  signal: AbortSignal,
): Promise<boolean> {
  const ca = await readFile(caFile, 'utf8')
  const statuses = await Promise.all(
    virtualNodes.map(({ kubeletPort }) =>
      probeHttp({ url: `https://${nodeAddress}:${kubeletPort}/healthz`, ca }, signal),
    ),
  )
  // Nobody is let in without a name, which is all that is wanted here.
  return statuses.every((status) => status === 401)
}

/**
 * The API server and CoreDNS, behind their Services; without a server also the nodes' own: metrics-server, if there is one,
 * is a Pod on a virtual node then.
 */
function portsForPods({ ports, serverNode, virtualNodes }: EmbeddedCluster): readonly string[] {
  const nodePorts = serverNode === undefined ? virtualNodes.map(({ kubeletPort }) => kubeletPort) : []
  return ['53/UDP', ...[53, ports.apiServer, ...nodePorts].map((port) => `${port}/TCP`)]
}

/** The same file that a user would write (docs/reference/config.md). */
export function embeddedConfig(cluster: EmbeddedCluster): object {
  return {
    clusterName: cluster.name,
    kubeconfig: cluster.spillwayKubeconfig,
    state: cluster.spillwayDir,
    run: cluster.runDir,
    nodeApi: {
      address: cluster.nodeAddress,
      firstPort: cluster.ports.virtualKubelet,
      clientCa: cluster.caFile,
    },
    // As on a cluster of people's own: more nodes may come than there are now.
    nodeIdentity: 'csr',
    defaults: { clusterDns: [cluster.clusterDnsAddress], clusterDomain: cluster.clusterDomain },
    backends: [
      {
        name: 'local',
        kind: 'cri',
        options: {
          socket: cluster.virtualContainerd.socket,
          stateDir: join(cluster.spillwayDir, 'pods'),
          cgroupParent: cluster.cgroups.virtual,
          // The machine is the cluster's own; each pool says what of it its Pods may have.
          allow: [...allowances],
          capabilities: ['ALL'],
          runtimeHandlers: ['runc'],
          // As the kubelet beside it: shares of a big disk would call it full while gigabytes are free.
          evictionHard: { 'nodefs.available': '1Gi', 'imagefs.available': '1Gi' },
          imageGc: { highThresholdPercent: 100 },
          // What is no Pod, but is there for Pods.
          network: { hostPorts: portsForPods(cluster) },
        },
      },
    ],
    pools: [
      {
        name: virtualPoolName,
        backend: 'local',
        replicas: cluster.shape.virtualNodes,
        untainted: cluster.shape.untainted,
        // Upstream’s tests of nodes ask for all of the machine; everybody else gets what a virtual node gives.
        ...(cluster.shape.untainted && {
          security: { allow: [...securityAllowances], capabilities: ['ALL'] },
        }),
        // Left out, it is gVisor or nothing.
        ...(cluster.shape.sandbox === 'runc' && { sandboxHandler: 'runc' }),
      },
    ],
  }
}
