/** What a virtual node could be asked about its settings. */
export interface NodeSettings {
  readonly address: string
  readonly port: number
  readonly clientCaFile: string | undefined
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  readonly maxPods: number
  /** Whether the serving certificate is had by a request to the cluster. */
  readonly serverTlsBootstrap: boolean
  /** Whether the client certificate is. */
  readonly rotateCertificates: boolean
}

/**
 * The answer of `/configz`: a KubeletConfiguration of the fields that are true of a virtual node. What is left out has
 * no counterpart here; a default of kubelet's in its place would be a claim. Pure.
 */
export function configz(settings: NodeSettings): object {
  const { address, port, clientCaFile, clusterDns, clusterDomain, maxPods } = settings
  const { serverTlsBootstrap, rotateCertificates } = settings
  return {
    kubeletconfig: {
      kind: 'KubeletConfiguration',
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      address,
      port,
      readOnlyPort: 0,
      rotateCertificates,
      serverTLSBootstrap: serverTlsBootstrap,
      authentication: {
        x509: clientCaFile === undefined ? {} : { clientCAFile: clientCaFile },
        webhook: { enabled: true, cacheTTL: '2m0s' },
        anonymous: { enabled: false },
      },
      authorization: {
        mode: 'Webhook',
        webhook: { cacheAuthorizedTTL: '5m0s', cacheUnauthorizedTTL: '30s' },
      },
      enableServer: true,
      enableDebuggingHandlers: true,
      enableProfilingHandler: false,
      enableDebugFlagsHandler: false,
      enableSystemLogHandler: false,
      enableSystemLogQuery: false,
      streamingConnectionIdleTimeout: '4h0m0s',
      clusterDomain,
      clusterDNS: clusterDns,
      maxPods,
    },
  }
}
