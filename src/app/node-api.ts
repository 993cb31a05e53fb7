import { readFile } from 'node:fs/promises'
import type { Backend } from '../backends/backend.ts'
import { reviewAuthenticator, reviewAuthorizer } from '../kubelet-api/auth.ts'
import { startNodeApi } from '../kubelet-api/node-api.ts'
import type { ServingCertificate } from '../kubelet-api/serving-certificate.ts'
import type { Pod } from '../model/kubernetes.ts'
import type { NodeCapacity } from '../node/node-object.ts'
import type { BackendPods } from '../pods/backend-pods.ts'
import type { House } from './house.ts'

export interface ServedNode {
  readonly name: string
  readonly address: string
  readonly port: number
  /** Of now. */
  readonly capacity: () => NodeCapacity
  readonly certificate: ServingCertificate
  readonly backend: Backend
  readonly backendPods: BackendPods
}

// Kubelet's.
const silentTooLongMs = 5 * 60_000

/** What the API server asks of one virtual node is answered from here on, until the signal is aborted. */
export async function serveNodeApi(
  { config, world, cluster, strangerLimits }: House,
  { name, address, port, capacity, certificate, backend, backendPods }: ServedNode,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = world
  const { clientCa, servingCertificate } = config.nodeApi
  await startNodeApi(
    {
      nodeName: name,
      listen: { address, port },
      certificate,
      ...(clientCa !== undefined && { clientCa: await readFile(clientCa, 'utf8') }),
      authenticator: reviewAuthenticator({ api: cluster.api, clock, budget: strangerLimits.reviews }),
      authorizer: reviewAuthorizer({ api: cluster.api, clock }),
      connections: strangerLimits.connections,
      backend,
      pods: {
        find: (namespace, pod) => backendPods.podsOn(name).find(isNamed(namespace, pod)),
        list: () => backendPods.podsOn(name),
      },
      size: capacity,
      settings: () => ({
        address,
        port,
        clientCaFile: clientCa,
        clusterDns: config.clusterDns,
        clusterDomain: config.clusterDomain,
        maxPods: capacity().pods,
        serverTlsBootstrap: servingCertificate.kind === 'csr',
        rotateCertificates: config.nodeIdentity.kind === 'csr',
      }),
      syncLoop: () =>
        backendPods.silentForMs > silentTooLongMs ? 'sync Loop took longer than expected' : undefined,
      clock,
      log,
    },
    signal,
  )
}

function isNamed(namespace: string, name: string): (pod: Pod) => boolean {
  return ({ metadata }) => metadata?.namespace === namespace && metadata.name === name
}
