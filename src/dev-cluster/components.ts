import { createHash } from 'node:crypto'
import { gvisor, gvisorShim } from './gvisor/components.ts'
import { corednsMain, pauseMain, testShellMain } from './go-mains.ts'

/** What clusters of ours are made of. */
export const kubernetesVersion = 'v1.37.2'

export type BinaryName =
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kubelet'
  | 'kube-proxy'
  | 'kubectl'
  | 'agnhost'
  | 'nnp'
  | 'e2e.test'
  | 'ginkgo'
  | 'etcd'
  | 'containerd'
  | 'ctr'
  | 'containerd-shim-runc-v2'
  | 'runsc'
  | 'containerd-shim-runsc-v1'
  | 'bridge'
  | 'loopback'
  | 'host-local'
  | 'portmap'
  | 'bandwidth'
  | 'registry'
  | 'coredns'
  | 'metrics-server'
  | 'pause'
  | 'test-shell'

/** One upstream project at one pinned version: the unit of a Go module, of a cache folder and of a lock. */
export interface Component {
  readonly name: string
  /** Pinned exactly, as Go spells it. */
  readonly version: string
  /** Go module path; left out for a program of our own that needs no module. */
  readonly module?: string
  /**
   * - `plain`: our module requires it, nothing else
   * - `kubernetes`: its go.mod has to be copied (see go-module.ts)
   */
  readonly modulePlan: 'plain' | 'kubernetes'
  readonly tags: readonly string[]
  /** `-X` assignments without which the program would call itself "unknown". */
  readonly linkerVariables: Readonly<Record<string, string>>
  /** A `package main` of our own, in place of one of the module's. */
  readonly mainSource?: string
  /** Disk that sources, build cache and results of a first build take. */
  readonly diskMegabytes: number
  readonly steps: readonly BuildStep[]
}

/** One `go build` call, or `go test -c` for a test binary. */
export interface BuildStep {
  readonly kind?: 'test'
  readonly binaries: readonly BinarySpec[]
  /** Wall time of a first build in this order on 2 cores: only for the estimate that people see. */
  readonly weightSeconds: number
}

export interface BinarySpec {
  readonly name: BinaryName
  /** Package path, in the component's module or in one that it requires; left out with `mainSource`. */
  readonly package?: string
  /**
   * Arguments that make it print its version. Left out: never taken from the machine, because its name is shared by
   * another program (iproute2 has a `bridge`) or because it cannot tell its version.
   */
  readonly versionArguments?: readonly string[]
  /** Files of the module that belong beside the binary: file name → path in the module. */
  readonly files?: Readonly<Record<string, string>>
}

const componentBase = 'k8s.io/component-base/version'

function kubernetesStep(
  name: BinaryName,
  weightSeconds: number,
  versionArguments = ['--version'],
): BuildStep {
  return { binaries: [{ name, package: `k8s.io/kubernetes/cmd/${name}`, versionArguments }], weightSeconds }
}

function kubernetesOf(version: string): Component {
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version) ?? []
  return {
    name: 'kubernetes',
    version,
    module: 'k8s.io/kubernetes',
    modulePlan: 'kubernetes',
    tags: [],
    linkerVariables: {
      [`${componentBase}.gitVersion`]: version,
      [`${componentBase}.gitMajor`]: major,
      [`${componentBase}.gitMinor`]: minor,
      [`${componentBase}.gitTreeState`]: 'clean',
    },
    diskMegabytes: 5000,
    // The API server goes first: it compiles most of what the other Kubernetes programs share.
    steps: [
      kubernetesStep('kube-apiserver', 257),
      kubernetesStep('kube-controller-manager', 79),
      kubernetesStep('kube-scheduler', 8),
      kubernetesStep('kubelet', 20),
      kubernetesStep('kube-proxy', 9),
      kubernetesStep('kubectl', 18, ['version', '--client']),
      {
        weightSeconds: 5,
        binaries: [
          {
            name: 'agnhost',
            package: 'k8s.io/kubernetes/test/images/agnhost',
            // Upstream's image carries this public test certificate; its tests of TLS hooks ask for it.
            files: {
              'localhost.crt': 'test/images/agnhost/porter/localhost.crt',
              'localhost.key': 'test/images/agnhost/porter/localhost.key',
            },
          },
        ],
      },
      { weightSeconds: 2, binaries: [{ name: 'nnp', package: 'k8s.io/kubernetes/test/images/nonewprivs' }] },
      {
        kind: 'test',
        weightSeconds: 300,
        binaries: [
          { name: 'e2e.test', package: 'k8s.io/kubernetes/test/e2e', versionArguments: ['--version'] },
        ],
      },
      // Of the version that e2e.test is compiled with: the two speak a protocol of their own.
      { weightSeconds: 20, binaries: [{ name: 'ginkgo', package: 'github.com/onsi/ginkgo/v2/ginkgo' }] },
    ],
  }
}

const etcd: Component = {
  name: 'etcd',
  version: 'v3.7.3',
  module: 'go.etcd.io/etcd/server/v3',
  modulePlan: 'plain',
  tags: [],
  linkerVariables: {},
  diskMegabytes: 400,
  steps: [
    {
      weightSeconds: 19,
      binaries: [{ name: 'etcd', package: 'go.etcd.io/etcd/server/v3', versionArguments: ['--version'] }],
    },
  ],
}

const containerd: Component = {
  name: 'containerd',
  version: 'v2.4.2',
  module: 'github.com/containerd/containerd/v2',
  modulePlan: 'plain',
  // The drivers left out need C libraries; overlayfs and native remain.
  tags: ['no_btrfs', 'no_zfs', 'no_devmapper', 'osusergo', 'netgo', 'static_build'],
  linkerVariables: { 'github.com/containerd/containerd/v2/version.Version': '2.4.2' },
  diskMegabytes: 800,
  steps: [
    {
      weightSeconds: 57,
      binaries: [
        {
          name: 'containerd',
          package: 'github.com/containerd/containerd/v2/cmd/containerd',
          versionArguments: ['--version'],
        },
        {
          name: 'ctr',
          package: 'github.com/containerd/containerd/v2/cmd/ctr',
          versionArguments: ['--version'],
        },
        {
          name: 'containerd-shim-runc-v2',
          package: 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
          versionArguments: ['-v'],
        },
      ],
    },
  ],
}

const pluginsModule = 'github.com/containernetworking/plugins'

const cniPlugins: Component = {
  name: 'cni-plugins',
  version: 'v1.9.1',
  module: pluginsModule,
  modulePlan: 'plain',
  tags: [],
  linkerVariables: { [`${pluginsModule}/pkg/utils/buildversion.BuildVersion`]: 'v1.9.1' },
  diskMegabytes: 100,
  steps: [
    {
      weightSeconds: 6,
      // Never from the machine: containerd is given one folder for all of them.
      binaries: [
        { name: 'bridge', package: `${pluginsModule}/plugins/main/bridge` },
        { name: 'loopback', package: `${pluginsModule}/plugins/main/loopback` },
        { name: 'host-local', package: `${pluginsModule}/plugins/ipam/host-local` },
        { name: 'portmap', package: `${pluginsModule}/plugins/meta/portmap` },
        { name: 'bandwidth', package: `${pluginsModule}/plugins/meta/bandwidth` },
      ],
    },
  ],
}

const registryModule = 'github.com/distribution/distribution/v3'

const registry: Component = {
  name: 'registry',
  version: 'v3.1.2',
  module: registryModule,
  modulePlan: 'plain',
  tags: [],
  linkerVariables: { [`${registryModule}/version.version`]: 'v3.1.2' },
  diskMegabytes: 700,
  steps: [
    {
      weightSeconds: 57,
      binaries: [
        { name: 'registry', package: `${registryModule}/cmd/registry`, versionArguments: ['--version'] },
      ],
    },
  ],
}

const coredns: Component = {
  name: 'coredns',
  version: 'v1.15.0',
  module: 'github.com/coredns/coredns',
  modulePlan: 'plain',
  tags: [],
  linkerVariables: {},
  // Ours names the few plugins needed: 50 s and 55 MB in place of 192 s and 79 MB with all of them.
  mainSource: corednsMain([
    'bind',
    'cache',
    'errors',
    'forward',
    'health',
    'kubernetes',
    'loadbalance',
    'log',
    'loop',
    'ready',
    'reload',
  ]),
  diskMegabytes: 900,
  steps: [{ weightSeconds: 72, binaries: [{ name: 'coredns', versionArguments: ['-version'] }] }],
}

/** As upstream's source has them; together they are a base for `kubectl apply -k`. */
export const metricsServerManifests = [
  'apiservice.yaml',
  'deployment.yaml',
  'kustomization.yaml',
  'rbac.yaml',
  'service.yaml',
] as const

const metricsServer: Component = {
  name: 'metrics-server',
  version: 'v0.8.0',
  module: 'sigs.k8s.io/metrics-server',
  modulePlan: 'plain',
  tags: [],
  linkerVariables: { 'k8s.io/client-go/pkg/version.gitVersion': 'v0.8.0' },
  diskMegabytes: 900,
  steps: [
    {
      weightSeconds: 100,
      binaries: [
        {
          name: 'metrics-server',
          package: 'sigs.k8s.io/metrics-server/cmd/metrics-server',
          files: Object.fromEntries(metricsServerManifests.map((file) => [file, `manifests/base/${file}`])),
        },
      ],
    },
  ],
}

const pause: Component = {
  name: 'pause',
  version: 'v3.10.2',
  modulePlan: 'plain',
  tags: [],
  linkerVariables: {},
  mainSource: pauseMain,
  diskMegabytes: 50,
  steps: [{ weightSeconds: 1, binaries: [{ name: 'pause' }] }],
}

const testShell: Component = {
  name: 'test-shell',
  version: kubernetesVersion,
  modulePlan: 'plain',
  tags: [],
  linkerVariables: {},
  mainSource: testShellMain,
  diskMegabytes: 50,
  steps: [{ weightSeconds: 1, binaries: [{ name: 'test-shell' }] }],
}

/** The components of clusters of ours, in the order in which they are built. */
export const components: readonly Component[] = [
  kubernetesOf(kubernetesVersion),
  etcd,
  containerd,
  gvisor,
  gvisorShim,
  cniPlugins,
  registry,
  coredns,
  metricsServer,
  pause,
  testShell,
]

/**
 * The same with another version of Kubernetes, as `v1.30.14`, for its control plane: etcd and the others stay as they
 * are, and the table's other programs of Kubernetes are not known to build or to fit.
 */
export function componentsWith(version: string): readonly Component[] {
  return components.map((component) => (component.name === 'kubernetes' ? kubernetesOf(version) : component))
}

/** The component that a binary is part of. */
export function componentOf(name: BinaryName, table: readonly Component[] = components): Component {
  const found = table.find((component) => specsOf(component).some((spec) => spec.name === name))
  if (found === undefined) throw new Error(`no component has a binary "${name}"`)
  return found
}

/** Every binary of a component, in build order. */
export function specsOf(component: Component): readonly BinarySpec[] {
  return component.steps.flatMap((step) => step.binaries)
}

/** How the table describes a binary. */
export function specOf(name: BinaryName, table: readonly Component[] = components): BinarySpec {
  const found = specsOf(componentOf(name, table)).find((spec) => spec.name === name)
  if (found === undefined) throw new Error(`no component has a binary "${name}"`)
  return found
}

/**
 * Folder of a component in the cache, `<component>/<version>`. A main of ours adds its hash: changing the list of
 * plugins is another program under the same upstream version.
 */
export function cacheFolder(component: Component): string {
  if (component.mainSource === undefined) return `${component.name}/${component.version}`
  const hash = createHash('sha256').update(component.mainSource).digest('hex').slice(0, 8)
  return `${component.name}/${component.version}-${hash}`
}
