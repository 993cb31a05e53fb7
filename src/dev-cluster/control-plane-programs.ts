import { join } from 'node:path'
import type { BinaryName } from './components.ts'
import type { ControlPlanePki } from './control-plane-pki.ts'
import type { Program } from './process.ts'

export const controlPlaneComponents = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
] as const
export type ControlPlaneComponent = (typeof controlPlaneComponents)[number]

export const serviceNetwork = '10.96.0.0/16'
/** Node Pod ranges are cut from it: /24 each, so 256 nodes. */
export const podNetwork = '10.244.0.0/16'

export interface ControlPlanePorts {
  readonly etcdClient: number
  readonly etcdPeer: number
  readonly apiServer: number
  readonly controllerManager: number
  readonly scheduler: number
}

export interface ControlPlanePlan {
  readonly stateDir: string
  readonly binaries: ReadonlyMap<BinaryName, string>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where the servers listen and clients come; etcd listens on loopback only. */
  readonly address: string
  /**
   * Whether Pods must reach the API server through Service `kubernetes`. Not on loopback: the API server refuses to
   * publish such an endpoint.
   */
  readonly publishesEndpoint: boolean
  readonly ports: ControlPlanePorts
  readonly pki: ControlPlanePki
  /** Skips fsync: faster, and lost at a power failure. For clusters that do not outlive a command. */
  readonly forgetful: boolean
  /** Appended to a component's own: the last one of a kind wins. */
  readonly extraArguments: Partial<Readonly<Record<ControlPlaneComponent, readonly string[]>>>
}

/** The command line of a component. */
export function controlPlaneProgram(component: ControlPlaneComponent, plan: ControlPlanePlan): Program {
  const file = plan.binaries.get(component)
  if (file === undefined) throw new Error(`no binary is given for ${component}`)
  return {
    file,
    args: [...flagsOf[component](plan), ...(plan.extraArguments[component] ?? [])],
    environment: plan.environment,
  }
}

const flagsOf: Readonly<Record<ControlPlaneComponent, (plan: ControlPlanePlan) => readonly string[]>> = {
  etcd: etcdFlags,
  'kube-apiserver': apiServerFlags,
  'kube-controller-manager': controllerManagerFlags,
  'kube-scheduler': schedulerFlags,
}

// Client certificates although it listens on loopback only: every user of the machine, and every Pod with host
// network, could read all Secrets otherwise.
function etcdFlags({ stateDir, ports, pki, forgetful }: ControlPlanePlan): readonly string[] {
  const client = `https://127.0.0.1:${ports.etcdClient}`
  const peer = `https://127.0.0.1:${ports.etcdPeer}`
  return [
    '--name=default',
    `--data-dir=${join(stateDir, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--client-cert-auth=true',
    `--trusted-ca-file=${pki.authority.certFile}`,
    `--cert-file=${pki.etcd.certFile}`,
    `--key-file=${pki.etcd.keyFile}`,
    '--peer-client-cert-auth=true',
    `--peer-trusted-ca-file=${pki.authority.certFile}`,
    `--peer-cert-file=${pki.etcd.certFile}`,
    `--peer-key-file=${pki.etcd.keyFile}`,
    '--log-level=warn',
    ...(forgetful ? ['--unsafe-no-fsync=true'] : []),
  ]
}

function apiServerFlags(plan: ControlPlanePlan): readonly string[] {
  const { pki, ports } = plan
  return [
    `--etcd-servers=https://127.0.0.1:${ports.etcdClient}`,
    `--etcd-cafile=${pki.authority.certFile}`,
    `--etcd-certfile=${pki.etcd.certFile}`,
    `--etcd-keyfile=${pki.etcd.keyFile}`,
    `--bind-address=${plan.address}`,
    `--advertise-address=${plan.address}`,
    `--endpoint-reconciler-type=${plan.publishesEndpoint ? 'lease' : 'none'}`,
    `--secure-port=${ports.apiServer}`,
    `--tls-cert-file=${pki.apiServer.certFile}`,
    `--tls-private-key-file=${pki.apiServer.keyFile}`,
    `--client-ca-file=${pki.authority.certFile}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--service-cluster-ip-range=${serviceNetwork}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${pki.serviceAccountKey.publicKeyFile}`,
    `--service-account-signing-key-file=${pki.serviceAccountKey.keyFile}`,
    `--kubelet-certificate-authority=${pki.authority.certFile}`,
    `--kubelet-client-certificate=${pki.apiServerKubeletClient.certFile}`,
    `--kubelet-client-key=${pki.apiServerKubeletClient.keyFile}`,
    '--kubelet-preferred-address-types=InternalIP,Hostname',
    `--proxy-client-cert-file=${pki.frontProxyClient.certFile}`,
    `--proxy-client-key-file=${pki.frontProxyClient.keyFile}`,
    `--requestheader-client-ca-file=${pki.frontProxyAuthority.certFile}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
  ]
}

function controllerManagerFlags(plan: ControlPlanePlan): readonly string[] {
  const { pki } = plan
  const kubeconfig = pki.kubeconfigs.controllerManager
  return [
    ...servingFlags(plan, kubeconfig, plan.ports.controllerManager),
    '--controllers=*,bootstrapsigner,tokencleaner',
    '--use-service-account-credentials=true',
    `--service-account-private-key-file=${pki.serviceAccountKey.keyFile}`,
    `--root-ca-file=${pki.authority.certFile}`,
    `--cluster-signing-cert-file=${pki.authority.certFile}`,
    `--cluster-signing-key-file=${pki.authority.keyFile}`,
    '--allocate-node-cidrs=true',
    `--cluster-cidr=${podNetwork}`,
    `--service-cluster-ip-range=${serviceNetwork}`,
    // With the default of 20 requests a second it takes 5 s to get its own controllers going.
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
    // It makes this folder; the default is in /usr/libexec.
    `--flex-volume-plugin-dir=${join(plan.stateDir, 'flexvolume')}`,
  ]
}

function schedulerFlags(plan: ControlPlanePlan): readonly string[] {
  return servingFlags(plan, plan.pki.kubeconfigs.scheduler, plan.ports.scheduler)
}

function servingFlags({ pki, address }: ControlPlanePlan, kubeconfig: string, port: number): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    `--bind-address=${address}`,
    `--secure-port=${port}`,
    `--tls-cert-file=${pki.components.certFile}`,
    `--tls-private-key-file=${pki.components.keyFile}`,
    // There is one of each, and a restart would wait for the lease of its predecessor.
    '--leader-elect=false',
  ]
}
