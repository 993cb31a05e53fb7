import { dirname, join } from 'node:path'
import {
  allPodsNetwork,
  clusterDnsAddress,
  serverNodeName,
  type ClusterLayout,
  type ContainerdLayout,
} from './cluster-layout.ts'
import type { BinaryName } from './components.ts'
import { gvisorConfigFile, gvisorPrograms, gvisorRuntime } from './gvisor/runtime-config.ts'
import type { NodeCertificates } from './spillway-identity.ts'
import { resolvConfFile } from './way-out.ts'

export interface ContainerdConfigOptions {
  readonly containerd: ContainerdLayout
  readonly binaries: ReadonlyMap<BinaryName | 'runc', string>
  readonly certsDir: string
  /** Whether the kernel has AppArmor: where it has not, containerd must not ask for profiles. */
  readonly hasAppArmor: boolean
}

/** containerd's config.toml, version 4. */
export function containerdConfig(options: ContainerdConfigOptions): string {
  const { containerd, binaries, certsDir, hasAppArmor } = options
  const runtime = 'plugins."io.containerd.cri.v1.runtime"'
  const images = 'plugins."io.containerd.cri.v1.images"'
  const gvisor = gvisorPrograms(binaries)
  // In version 4 "[grpc] address" is ignored in silence, and the machine's default socket would be opened.
  return `version = 4
root = ${quote(containerd.rootDir)}
state = ${quote(containerd.stateDir)}
disabled_plugins = ["io.containerd.nri.v1.nri"]

[plugins."io.containerd.server.v1.grpc"]
address = ${quote(containerd.socket)}

[plugins."io.containerd.server.v1.ttrpc"]
address = ${quote(`${containerd.socket}.ttrpc`)}

[${images}.pinned_images]
sandbox = "registry.k8s.io/pause:3.10.2"

[${images}.registry]
config_path = ${quote(certsDir)}

[${runtime}]
disable_apparmor = ${!hasAppArmor}
# Without CAP_SYS_RESOURCE (machines in containers) nothing may lower its oom_score_adj.
restrict_oom_score_adj = true
tolerate_missing_hugetlb_controller = true

[${runtime}.cni]
bin_dirs = [${cniBinDirs(binaries).map(quote).join(', ')}]
conf_dir = ${quote(containerd.cniConfDir)}
use_internal_loopback = true

[${runtime}.containerd]
default_runtime_name = "runc"

[${runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = ${quote(required(binaries, 'containerd-shim-runc-v2'))}

[${runtime}.containerd.runtimes.runc.options]
BinaryName = ${quote(required(binaries, 'runc'))}
SystemdCgroup = false
${gvisor ? gvisorRuntime(gvisor, `${runtime}.containerd`, gvisorConfigFile(containerd)) : ''}`
}

/** Folders of the CNI plugins. */
export function cniBinDirs(binaries: ReadonlyMap<BinaryName | 'runc', string>): readonly string[] {
  const plugins = ['bridge', 'loopback', 'host-local', 'portmap', 'bandwidth'] as const
  return [...new Set(plugins.map((name) => dirname(required(binaries, name))))]
}

/** The network of one containerd's Pods: a bridge, without address translation between Pods. */
export function cniConflist(containerd: ContainerdLayout): object {
  return {
    cniVersion: '1.0.0',
    name: containerd.bridge,
    plugins: [
      {
        type: 'bridge',
        bridge: containerd.bridge,
        isGateway: true,
        // The plugin's masquerading knows its own subnet only and would hide Pods of one bridge from the other's.
        ipMasq: false,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          dataDir: containerd.cniStateDir,
          ranges: [[{ subnet: containerd.podNetwork, rangeEnd: containerd.lastPodAddress }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', backend: 'nftables', capabilities: { portMappings: true } },
      // By the annotations kubernetes.io/ingress-bandwidth and egress-bandwidth, which containerd passes on.
      { type: 'bandwidth', capabilities: { bandwidth: true } },
    ],
  }
}

export interface KubeletConfigOptions {
  readonly layout: ClusterLayout
  readonly certificates: NodeCertificates
  readonly caFile: string
  readonly machine: { readonly cores: number; readonly memoryBytes: number }
  readonly serverCpu: number
}

const serverMemoryBytes = 2 * 1024 ** 3
const evictionMemoryBytes = 100 * 1024 ** 2

/** KubeletConfiguration of the server node. */
export function kubeletConfig(options: KubeletConfigOptions): object {
  const { layout, certificates, caFile, machine } = options
  const dir = kubeletDir(layout)
  const reservedMilliCores = Math.max(0, Math.round((machine.cores - options.serverCpu) * 1000))
  const reservedBytes = Math.max(0, machine.memoryBytes - serverMemoryBytes - evictionMemoryBytes)
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: layout.nodeAddress,
    port: layout.ports.kubelet,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: caFile },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: certificates.serving.certFile,
    tlsPrivateKeyFile: certificates.serving.keyFile,
    containerRuntimeEndpoint: `unix://${layout.serverContainerd.socket}`,
    podLogsDir: join(dir, 'pod-logs'),
    volumePluginDir: join(dir, 'volume-plugins'),
    resolvConf: resolvConfFile(layout),
    clusterDomain: 'cluster.local',
    clusterDNS: [clusterDnsAddress],
    cgroupDriver: 'cgroupfs',
    cgroupRoot: layout.cgroups.server,
    failCgroupV1: false,
    failSwapOn: false,
    // Lowering it needs CAP_SYS_RESOURCE, which machines in containers lack.
    oomScoreAdj: 0,
    enforceNodeAllocatable: ['pods'],
    // The node is a slice of the machine: what is reserved is everything else.
    systemReserved: { cpu: `${reservedMilliCores}m`, memory: String(reservedBytes) },
    // Shares of a big disk would call it full while gigabytes are free.
    evictionHard: {
      'memory.available': String(evictionMemoryBytes),
      'nodefs.available': '1Gi',
      'imagefs.available': '1Gi',
    },
    imageGCHighThresholdPercent: 100,
    maxPods: 110,
  }
}

export function kubeletDir(layout: Pick<ClusterLayout, 'stateDir'>): string {
  return join(layout.stateDir, 'kubelet')
}

/** Kubelet's command line flags that its configuration file does not know. */
export function kubeletFlags(layout: ClusterLayout, kubeconfig: string): readonly string[] {
  return [
    `--config=${join(kubeletDir(layout), 'config.json')}`,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${serverNodeName}`,
    `--node-ip=${layout.nodeAddress}`,
    `--root-dir=${kubeletDir(layout)}`,
    `--cert-dir=${join(kubeletDir(layout), 'pki')}`,
  ]
}

/** KubeProxyConfiguration. `nodeName` is the node whose Pods count as local for Services' traffic policies. */
export function kubeProxyConfig(kubeconfig: string, nodeName: string): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig },
    hostnameOverride: nodeName,
    mode: 'nftables',
    clusterCIDR: allPodsNetwork,
    // The limit is the machine's, and a namespace may not change it.
    conntrack: { maxPerCore: 0 },
    // By default it programs the rules at most once a second: Services follow Pods faster so.
    nftables: { minSyncPeriod: '100ms', syncPeriod: '30s' },
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
  }
}

/** CoreDNS' Corefile. Only names of the cluster: there is no way from it to a name server outside. */
export function corefile(layout: ClusterLayout, kubeconfig: string): string {
  return `.:53 {
  bind ${layout.nodeAddress}
  errors
  health ${layout.nodeAddress}:8080
  ready ${layout.nodeAddress}:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ${kubeconfig}
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 5
  }
  cache 5
  loadbalance
}
`
}

/** Configuration of the image registry. */
export function registryConfig(layout: ClusterLayout): object {
  return {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(layout.stateDir, 'registry') },
      delete: { enabled: true },
    },
    http: { addr: `${layout.nodeAddress}:${layout.ports.registry}` },
  }
}

function required<Name extends string>(binaries: ReadonlyMap<Name, string>, name: Name): string {
  const path = binaries.get(name)
  if (path === undefined) throw new Error(`no binary is given for ${name}`)
  return path
}

// JSON strings are TOML basic strings.
function quote(text: string): string {
  return JSON.stringify(text)
}
