import { join } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import type { ControlPlanePorts } from './control-plane-programs.ts'

/** Where the parts of one embedded cluster are. All of it follows from its name and its number. */
export interface ClusterLayout {
  readonly name: string
  /** 1–50; tells the clusters of a machine apart where a number is needed. */
  readonly index: number
  readonly stateDir: string
  /** Sockets. */
  readonly runDir: string
  readonly logsDir: string
  readonly pkiDir: string
  /** Of an administrator. */
  readonly kubeconfig: string
  /** Our end of the wire, seen from the cluster. */
  readonly hostAddress: string
  /** The address of every node, and of the API server. */
  readonly nodeAddress: string
  /** The wire's network, as in `10.200.1.0/24`. */
  readonly linkNetwork: string
  /** The wire's end on the host; at most 15 characters. */
  readonly hostLink: string
  readonly ports: ClusterPorts
  /** Below every controller's mount on cgroup v1, below the one mount on v2. */
  readonly cgroups: { readonly root: string; readonly server: string; readonly virtual: string }
  readonly serverContainerd: ContainerdLayout
  readonly virtualContainerd: ContainerdLayout
}

export interface ClusterPorts extends ControlPlanePorts {
  readonly registry: number
  readonly kubelet: number
  /** Of virtual node 0; node n adds n. */
  readonly virtualKubelet: number
}

export interface ContainerdLayout {
  readonly socket: string
  readonly configFile: string
  readonly rootDir: string
  /** Inside the cluster's mount namespace only. */
  readonly stateDir: string
  readonly cniConfDir: string
  readonly cniStateDir: string
  /** Bridge inside the cluster's network namespace. */
  readonly bridge: string
  readonly podNetwork: string
  /** The addresses that Pods are given are the network's from its second to this one. */
  readonly lastPodAddress: string
}

export const stateRoot = '/var/lib/spillway'
export const runRoot = '/run/spillway'
export const defaultClusterName = 'default'
export const highestIndex = 50
export const serverNodeName = 'server-0'
/** Everything that Pods have addresses from: 10.244.0.0/16 by podCIDR on servers, 10.245.0.0/16 on virtual nodes. */
export const allPodsNetwork = '10.244.0.0/15'
export const clusterDnsAddress = '10.96.0.10'

/** Throws Usage when the name cannot be one: it becomes part of paths, of a cgroup and of a socket's path. */
export function checkClusterName(name: string): void {
  if (/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(name)) return
  throw new SpillwayError(
    'Usage',
    `--name: "${name}" is not allowed: take 1 to 40 lower-case letters, digits and dashes, beginning and ending with a letter or digit`,
  )
}

/** The layout of cluster number `index`. */
export function clusterLayout(name: string, index: number): ClusterLayout {
  const stateDir = join(stateRoot, name)
  const runDir = join(runRoot, name)
  const root = `/spillway-${name}`
  return {
    name,
    index,
    stateDir,
    runDir,
    logsDir: join(stateDir, 'logs'),
    pkiDir: join(stateDir, 'pki'),
    kubeconfig: join(stateDir, 'kubeconfig'),
    hostAddress: `10.200.${index}.1`,
    nodeAddress: `10.200.${index}.2`,
    linkNetwork: `10.200.${index}.0/24`,
    hostLink: `spillway${index}`,
    ports: {
      etcdClient: 2379,
      etcdPeer: 2380,
      apiServer: 6443,
      controllerManager: 10257,
      scheduler: 10259,
      registry: 5000,
      kubelet: 10250,
      virtualKubelet: 10260,
    },
    cgroups: { root, server: `${root}/server`, virtual: `${root}/virtual` },
    serverContainerd: containerdLayout(stateDir, runDir, {
      role: 'server',
      bridge: 'server0',
      podNetwork: '10.244.0.0/24',
      lastPodAddress: '10.244.0.254',
    }),
    virtualContainerd: containerdLayout(stateDir, runDir, {
      role: 'virtual',
      bridge: 'spill0',
      podNetwork: '10.245.0.0/16',
      // 2,045 of them: enough for 18 full nodes, and few enough to be listed one by one in a rule.
      lastPodAddress: '10.245.7.254',
    }),
  }
}

function containerdLayout(
  stateDir: string,
  runDir: string,
  {
    role,
    ...network
  }: Pick<ContainerdLayout, 'bridge' | 'podNetwork' | 'lastPodAddress'> & { readonly role: string },
): ContainerdLayout {
  const dir = join(stateDir, `containerd-${role}`)
  return {
    socket: join(runDir, `containerd-${role}.sock`),
    configFile: join(dir, 'config.toml'),
    rootDir: join(dir, 'root'),
    // Not in the state folder: it describes mounts and processes that are gone with the namespace.
    stateDir: `/run/containerd/${role}`,
    cniConfDir: join(dir, 'cni'),
    cniStateDir: join(dir, 'cni-state'),
    ...network,
  }
}

/** Every address that Pods of the virtual nodes may be given. */
export function virtualPodAddresses(): readonly string[] {
  return Array.from({ length: 2046 }, (_, index) => `10.245.${(index + 1) >> 8}.${(index + 1) & 255}`)
}
