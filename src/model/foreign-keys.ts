import type { Placement } from './words.ts'

/** What a product calls its virtual nodes, and who sells it. */
export type Product =
  | 'Tencent TKE'
  | 'Alibaba ECI'
  | 'Huawei CCI'
  | 'AWS Fargate'
  | 'Volcengine VCI'
  | 'Azure ACI'
  | 'Virtual Kubelet'

/** Where in a Pod a word stands; a scheduler is named in `spec.schedulerName`. */
export type ForeignPlace = 'label' | 'annotation' | 'node selector' | 'toleration' | 'scheduler'

/**
 * What becomes of a word.
 * - `placement`: by its value, `*` for any; `but` is what it also meant and does not here
 * - `size`: the size at which the Pod is billed; the two keys count together
 * - `billed`: it decides what the Pod is billed by; `but` is what it also meant and does not here
 * - `needless`: nothing is lost by leaving it out: it is so here anyway, or is about nothing that there is here
 * - `lost`: it cannot be honoured; a sentence says why, and what to write in its place where there is something. Nothing is
 *   lost of what is `false`, except where that asks for something, too
 */
export type Meaning =
  | {
      readonly kind: 'placement'
      readonly values: Readonly<Record<string, Placement>>
      readonly but?: string
    }
  | { readonly kind: 'size' }
  | {
      readonly kind: 'billed'
      readonly says: string
      /** Any, if left out. */
      readonly value?: string
      readonly but?: string
    }
  | { readonly kind: 'needless' | 'lost'; readonly says: string; readonly alsoFalse?: true }

export interface ForeignWords {
  readonly product: Product
  readonly at: ForeignPlace
  readonly keys: readonly string[]
  /** Only that value of the keys is the product's. */
  readonly value?: string
  /** The namespace may have it, too. */
  readonly ofNamespace?: true
  readonly meaning: Meaning
}

/** Both, or neither counts. The Tencent price book reads the same two. */
export const tkeSize = {
  cpu: 'eks.tke.cloud.tencent.com/cpu',
  memory: 'eks.tke.cloud.tencent.com/mem',
} as const

/** Bought as spot; of a book that has spot prices. */
export const tkeSpot = 'eks.tke.cloud.tencent.com/spot-pod'

/** The Tencent price book has sizes of several. */
export const tkeHardware = {
  cpuType: 'eks.tke.cloud.tencent.com/cpu-type',
  gpuModel: 'eks.tke.cloud.tencent.com/gpu-type',
} as const

/** Whatever else begins like that is the product's, and not known here. */
export const foreignPrefixes: readonly { readonly product: Product; readonly prefix: string }[] = [
  { product: 'Tencent TKE', prefix: 'eks.tke.cloud.tencent.com/' },
  { product: 'Tencent TKE', prefix: 'internal.eks.tke.cloud.tencent.com/' },
  { product: 'Alibaba ECI', prefix: 'k8s.aliyun.com/eci-' },
  { product: 'Alibaba ECI', prefix: 'k8s.aliyun.com/eip-' },
  { product: 'Huawei CCI', prefix: 'bursting.cci.io/' },
  { product: 'Volcengine VCI', prefix: 'vci.vke.volcengine.com/' },
  { product: 'Volcengine VCI', prefix: 'vci.volcengine.com/' },
]

const noStock = 'sizes are what is billed and never run out; a full pool is followed by the next one'
const noAddresses = 'a Pod has the address that its pool’s network gives it, and no public one'
const noFixedIp = 'addresses are not kept: reach the Pod by a Service, or by its name in a headless one'
const noSecurityGroups =
  'there are no security groups here: write a NetworkPolicy, where the network enforces it'
const noRoles = 'there are no cloud roles here: give the Pod a ServiceAccount token or a Secret'
const ownSpot =
  'nothing is ever reclaimed here, and nothing bid for: spillway.dev/purchase: spot bills by spot prices where the price book has some'
const noDisk = 'a Pod has no disk of its own: state requests and limits of ephemeral-storage'
const noZones = 'a pool is in one place: choose one by nodeSelector spillway.dev/pool'
const noHardware = 'the pool’s machine decides the hardware: choose a pool by nodeSelector spillway.dev/pool'
const noMachine = 'a Pod has no machine of its own to set up here'
const ownRegistries = 'how registries are reached is a setting of the backend’s containerd'
const keptImages = 'images stay on the pool’s machine from one Pod to the next'
const usualServices = 'Services are reached by the kube-proxy of the pool’s machine, as from any server'
const nodeMetrics = 'virtual nodes serve metrics as kubelets do, and take no port of the Pod for it'
const logsByAgent =
  'logs are read by kubectl logs or a log agent on the pool’s machine; nothing ships them from the Pod'
const lostNodes =
  'a Pod of a lost node is replaced as on a server: tolerate node.kubernetes.io/unreachable for as long as it is to wait'
const sandboxGoes =
  'the sandbox goes when the Pod ends, and its bill with it; logs and exit codes stay readable'
const byNode = 'the virtual node looks after that by itself, in kubelet’s way'
const written = 'the product writes it itself, and nobody reads it here'
const ownToleration = 'Spillway gives the toleration of its own nodes to whom it lets out'
const noScheduler = 'where no scheduler of that name runs the Pod waits for ever: leave schedulerName out'
const noNode = 'no node here has that label: leave it out, and label the Pod spillway.dev/placement: virtual'

type Row = readonly [readonly string[], Meaning, Pick<ForeignWords, 'value' | 'ofNamespace'>?]

function of(product: Product, at: ForeignPlace, rows: readonly Row[]): readonly ForeignWords[] {
  return rows.map(([keys, meaning, more]) => ({ product, at, keys, meaning, ...more }))
}

/** `prefix/` before each of the names. */
function under(prefix: string, names: string): string[] {
  return names.split(' ').map((name) => `${prefix}/${name}`)
}

const tke = (names: string): string[] => under('eks.tke.cloud.tencent.com', names)
const tkeInternal = (names: string): string[] => under('internal.eks.tke.cloud.tencent.com', names)
const eci = (names: string): string[] => under('k8s.aliyun.com', names)

function lost(says: string): Meaning & { readonly kind: 'lost' | 'needless' } {
  return { kind: 'lost', says }
}

function needless(says: string): Meaning {
  return { kind: 'needless', says }
}

function placed(values: Readonly<Record<string, Placement>>, but?: string): Meaning {
  return { kind: 'placement', values, ...(but !== undefined && { but }) }
}

const tencent = of('Tencent TKE', 'annotation', [
  [['AUTO_SCALE_EKS'], placed({ true: 'auto', false: 'server' })],
  // TKE does not let them out: their address belongs to a server's network card.
  [['tke.cloud.tencent.com/vpc-ip-claim-delete-policy'], placed({ '*': 'server' }, noFixedIp)],
  [
    ['LOCAL_REPLICAS'],
    lost('how many replicas stay on servers is said by a BurstPolicy’s minServerReplicas'),
  ],
  [[tkeSize.cpu, tkeSize.memory], { kind: 'size' }],
  [
    [tkeHardware.cpuType, tkeHardware.gpuModel],
    {
      kind: 'billed',
      says: 'its sizes and prices are billed where the price book is Tencent’s',
      but: noHardware,
    },
  ],
  [tke('gpu-count'), lost('cards are asked for by the resource nvidia.com/gpu')],
  [tke('root-cbs-size cbs-reuse-key not-reuse-cbs'), lost(noDisk)],
  [tke('spec-auto-upgrade'), needless(noStock)],
  [
    [tkeSpot],
    {
      kind: 'billed',
      says: 'billed by spot prices where the price book has some; it is never reclaimed',
      value: 'true',
    },
  ],
  [tke('retain-ip retain-ip-hours'), lost(noFixedIp)],
  [tke('eip-attributes eip-claim-delete-policy eip-id-list'), lost(noAddresses)],
  [tke('security-group-id'), lost(noSecurityGroups)],
  [tke('role-name'), lost(noRoles)],
  [tke('registry-insecure-skip-verify registry-http-endpoint'), lost(ownRegistries)],
  [tke('use-image-cache image-cache-disk-type image-cache-disk-size'), needless(keptImages)],
  [tke('image-cache-disk-retain-minute'), needless(keptImages)],
  [
    tke('host-sysctls'),
    lost('a Pod’s own are set in securityContext.sysctls, where the backend allows them'),
  ],
  [tke('host-modprobe host-timezone'), lost(noMachine)],
  [tke('resolv-conf'), lost('name servers are set in dnsPolicy and dnsConfig')],
  [tke('recreate-node-lost-pod heartbeat-lost-period'), { ...lost(lostNodes), alsoFalse: true }],
  [tke('image-gc-high-threshold image-gc-low-threshold image-gc-period'), needless(byNode)],
  [tke('container-gc-threshold must-keep-last-container'), needless(byNode)],
  [
    tke('pod-eviction-threshold'),
    lost('a Pod is evicted by its ephemeral-storage limits, or when its node runs short'),
  ],
  [tke('metrics-port cri-stats-interval'), needless(nodeMetrics)],
  [tke('custom-metrics-url'), lost('metrics of the Pod’s own are scraped from a port of its own')],
  [tke('log-key-as-message filebeat-metadata-format'), lost(logsByAgent)],
  [tkeInternal('tail-buffer-max-size'), lost(logsByAgent)],
  [tke('reserve-sandbox-duration reserve-succeeded-sandbox reserve-task-shorter-than'), lost(sandboxGoes)],
  [tke('cluster-ip-switch duration-to-wait-service-rules'), needless(usualServices)],
  [tke('ipvs-scheduler ipvs-sh-port ipvs-sync-period ipvs-min-sync-period'), needless(usualServices)],
  [tke('ipvs-udp-timeout ipvs-tcp-timeout'), needless(usualServices)],
  [tkeInternal('pod-eth-idx'), lost(noMachine)],
  [
    tke('ds-injection ds-inject-by-label'),
    lost('DaemonSets are not run on virtual nodes: take the agent along as a sidecar'),
  ],
  [tke('eklet-version'), needless('there is one version, that of the Spillway that runs')],
  [
    tke('resource-tag'),
    lost('bills are split by namespace, workload and Pod (spillway bill --by), not by tags'),
  ],
  [tke('spread-placement-group-id'), lost(noZones)],
]).concat(
  of('Tencent TKE', 'toleration', [[tke('eklet'), needless(ownToleration)]]),
  of('Tencent TKE', 'node selector', [
    [['node.kubernetes.io/instance-type'], lost(noNode), { value: 'eklet' }],
  ]),
  of('Tencent TKE', 'scheduler', [[['tke-scheduler'], lost(noScheduler)]]),
)

const alibaba = of('Alibaba ECI', 'annotation', [
  [['alibabacloud.com/burst-resource'], placed({ '': 'server', eci: 'auto', eci_only: 'virtual' })],
  [
    eci('eci-use-specs eci-instance-type'),
    lost('a Pod’s size follows its requests, by the pool’s price book'),
  ],
  [eci('eci-instance-family eci-gpu-driver-version eci-cpu-option-core eci-cpu-option-ht'), lost(noHardware)],
  [eci('eci-vswitch eci-schedule-strategy'), lost(noZones)],
  [eci('eci-spot-strategy eci-spot-price-limit'), lost(ownSpot)],
  [eci('eci-security-group'), lost(noSecurityGroups)],
  [eci('eci-ram-role-name'), lost(noRoles)],
  [eci('acr-instance-id'), lost('private images need an imagePullSecret')],
  [eci('eci-image-cache eci-image-snapshot-id eci-auto-imc'), needless(keptImages)],
  [eci('plain-http-registry insecure-registry'), lost(ownRegistries)],
  [eci('eci-with-eip eci-eip-instanceid eip-bandwidth'), lost(noAddresses)],
  [eci('eip-common-bandwidth-package-id eip-isp eip-internet-charge-type'), lost(noAddresses)],
  [eci('eci-fixed-ip eci-fixed-ip-retain-hour'), lost(noFixedIp)],
  [
    eci('eci-enable-ipv6 eci-ipv6-bandwidth-enable eci-ipv6-bandwidth'),
    lost('the pool’s network decides which address families a Pod has'),
  ],
  [eci('eci-extra-ephemeral-storage'), lost(noDisk)],
  [eci('eci-eviction-enable'), needless('a Pod that keeps more on disk than its limits is evicted')],
  [eci('eci-core-pattern eci-ntp-server'), lost(noMachine)],
  [
    eci('eci-reschedule-enable'),
    needless('a Pod that no pool takes is looked at again whenever something changes'),
  ],
  [eci('pod-fail-on-create-err'), lost('a Pod that cannot be made is tried again, and an event says why')],
  [eci('eci-network-policy-enable'), lost('a NetworkPolicy is enforced by the pool’s network, if at all')],
  [eci('eci-instance-id eci-instance-cpu eci-instance-mem eci-instance-spec'), needless(written)],
  [eci('eci-instance-zone eci-request-id eci-vpc allocated-eipAddress'), needless(written)],
  [eci('eci-client-token eci-created-by-template eci-schedule-result'), needless(written)],
  [eci('eci-matched-image-cache eci-kube-proxy-enabled'), needless(written)],
]).concat(
  of('Alibaba ECI', 'label', [
    [['alibabacloud.com/eci'], placed({ true: 'virtual' }), { ofNamespace: true }],
  ]),
)

const cciPlacements = { auto: 'auto', localPrefer: 'auto', enforce: 'virtual', off: 'server' } as const

const huawei = of('Huawei CCI', 'label', [
  [['virtual-kubelet.io/burst-to-cci', 'bursting.cci.io/burst-to-cci'], placed(cciPlacements)],
]).concat(
  // As it was before it became a label.
  of('Huawei CCI', 'annotation', [
    [['virtual-kubelet.io/burst-to-cci'], placed({ ...cciPlacements, true: 'auto' })],
  ]),
)

const fargateType = 'eks.amazonaws.com/compute-type'

const aws = of('AWS Fargate', 'label', [
  [
    ['eks.amazonaws.com/fargate-profile'],
    placed({ '*': 'virtual' }, 'the profile’s subnets and execution role stay behind'),
  ],
]).concat(
  of('AWS Fargate', 'label', [[[fargateType], placed({ fargate: 'virtual' })]]),
  of('AWS Fargate', 'annotation', [
    // EKS ships CoreDNS with it, to keep it off Fargate.
    [[fargateType], placed({ ec2: 'server', fargate: 'virtual' })],
    [['CapacityProvisioned'], needless(written)],
  ]),
  of('AWS Fargate', 'toleration', [[[fargateType], needless(ownToleration)]]),
  of('AWS Fargate', 'node selector', [[[fargateType], lost(noNode), { value: 'fargate' }]]),
  of('AWS Fargate', 'scheduler', [[['fargate-scheduler'], lost(noScheduler)]]),
)

/** Volcengine writes of an annotation in VKE, and of a label in clusters elsewhere. */
const volcengine = (['annotation', 'label'] as const).flatMap((at) =>
  of('Volcengine VCI', at, [[['vke.volcengine.com/burst-to-vci'], placed({ enforce: 'virtual' })]]),
)

/** Every word of other products that is known here, from their documentation of 2021 to 2026. */
export const foreignWords: readonly ForeignWords[] = [
  ...tencent,
  ...alibaba,
  ...huawei,
  ...aws,
  ...volcengine,
  ...of('Azure ACI', 'toleration', [[['azure.com/aci'], needless(ownToleration)]]),
  ...of('Virtual Kubelet', 'toleration', [[['virtual-kubelet.io/provider'], needless(ownToleration)]]),
]
