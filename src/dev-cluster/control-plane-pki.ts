import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeKubeconfig } from './kubeconfig.ts'
import { CertificateAuthority, openServiceAccountKey, type CertificateFiles } from './pki.ts'

/** The first address of the Service network: Service `kubernetes`. */
export const kubernetesServiceAddress = '10.96.0.1'

/** Every file with which the control plane proves who it is. */
export interface ControlPlanePki {
  readonly dir: string
  /** Signs everything but the front proxy: API server, kubelets, clients. */
  readonly authority: CertificateAuthority
  /** An authority of its own: what it signs may name any user to aggregated API servers. */
  readonly frontProxyAuthority: CertificateAuthority
  readonly apiServer: CertificateFiles
  readonly apiServerKubeletClient: CertificateFiles
  readonly etcd: CertificateFiles
  readonly frontProxyClient: CertificateFiles
  /** Serving certificate of controller-manager and scheduler. */
  readonly components: CertificateFiles
  readonly serviceAccountKey: { readonly keyFile: string; readonly publicKeyFile: string }
  readonly kubeconfigs: {
    readonly admin: string
    readonly controllerManager: string
    readonly scheduler: string
  }
  readonly admin: CertificateFiles
}

export interface ControlPlanePkiOptions {
  readonly stateDir: string
  readonly clusterName: string
  /** Where clients reach the API server. */
  readonly address: string
  readonly apiServerPort: number
  readonly nowMs: number
}

/** Makes what is missing; a second call for the same folder changes nothing but the kubeconfigs. */
export async function openControlPlanePki(options: ControlPlanePkiOptions): Promise<ControlPlanePki> {
  const { stateDir, nowMs, address } = options
  const dir = join(stateDir, 'pki')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const authority = await CertificateAuthority.open(dir, 'ca', nowMs)
  const frontProxyAuthority = await CertificateAuthority.open(dir, 'front-proxy-ca', nowMs)
  const admin = await authority.issue(
    {
      fileName: 'admin',
      commonName: 'kubernetes-admin',
      organizations: ['system:masters'],
      usages: ['client'],
    },
    nowMs,
  )
  const addresses = [...new Set(['127.0.0.1', address])]
  return {
    dir,
    authority,
    frontProxyAuthority,
    admin,
    apiServer: await issueApiServer(authority, addresses, nowMs),
    apiServerKubeletClient: await authority.issue(
      {
        fileName: 'apiserver-kubelet-client',
        commonName: 'kube-apiserver-kubelet-client',
        organizations: ['system:masters'],
        usages: ['client'],
      },
      nowMs,
    ),
    etcd: await authority.issue(
      { fileName: 'etcd', commonName: 'etcd', ipAddresses: ['127.0.0.1'], usages: ['client', 'server'] },
      nowMs,
    ),
    frontProxyClient: await frontProxyAuthority.issue(
      { fileName: 'front-proxy-client', commonName: 'front-proxy-client', usages: ['client'] },
      nowMs,
    ),
    components: await authority.issue(
      {
        fileName: 'components',
        commonName: 'control-plane-components',
        ipAddresses: addresses,
        usages: ['server'],
      },
      nowMs,
    ),
    serviceAccountKey: await openServiceAccountKey(dir),
    kubeconfigs: await writeKubeconfigs(options, authority, admin),
  }
}

async function writeKubeconfigs(
  options: ControlPlanePkiOptions,
  authority: CertificateAuthority,
  admin: CertificateFiles,
): Promise<ControlPlanePki['kubeconfigs']> {
  const write = kubeconfigWriter(options, authority)
  const issue = (fileName: string, commonName: string): Promise<CertificateFiles> =>
    authority.issue({ fileName, commonName, usages: ['client'] }, options.nowMs)
  return {
    admin: await write('kubeconfig', admin),
    controllerManager: await write(
      'controller-manager.kubeconfig',
      await issue('controller-manager', 'system:kube-controller-manager'),
    ),
    scheduler: await write('scheduler.kubeconfig', await issue('scheduler', 'system:kube-scheduler')),
  }
}

async function issueApiServer(
  authority: CertificateAuthority,
  addresses: readonly string[],
  nowMs: number,
): Promise<CertificateFiles> {
  const ipAddresses = [...addresses, kubernetesServiceAddress]
  const wanted = {
    fileName: 'apiserver',
    commonName: 'kube-apiserver',
    dnsNames: apiServerNames,
    ipAddresses,
  }
  return await authority.issue({ ...wanted, usages: ['server'] }, nowMs)
}

const apiServerNames = [
  'localhost',
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
]

/** Writes kubeconfigs of one cluster into its state folder, and answers with their paths. */
export function kubeconfigWriter(
  options: Pick<ControlPlanePkiOptions, 'stateDir' | 'clusterName' | 'address' | 'apiServerPort'>,
  authority: CertificateAuthority,
): (fileName: string, client: CertificateFiles) => Promise<string> {
  return async (fileName, client) => {
    const path = join(options.stateDir, fileName)
    await writeKubeconfig(path, {
      server: `https://${options.address}:${options.apiServerPort}`,
      name: options.clusterName,
      caFile: authority.certFile,
      client,
    })
    return path
  }
}
