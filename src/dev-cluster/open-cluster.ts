import { mkdir, readFile, statfs } from 'node:fs/promises'
import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'
import { makeCgroup } from './cgroups.ts'
import {
  clusterNames,
  readClusterFile,
  writeClusterFile,
  type ClusterFile,
  type ClusterShape,
  type EmbeddedSandbox,
} from './cluster-file.ts'
import {
  allPodsNetwork,
  checkClusterName,
  clusterLayout,
  runRoot,
  stateRoot,
  virtualPodAddresses,
  type ClusterLayout,
} from './cluster-layout.ts'
import type { CommandOptions } from './command.ts'
import { readKernelSettings } from './kernel-settings.ts'
import { withMachineLock } from './machine-lock.ts'
import {
  canBeEntered,
  createNamespace,
  endNamespaces,
  mountScript,
  runInside,
  runScriptInside,
} from './namespace.ts'
import { createLink, findFreeIndex, innerLinkCommands, podNetworkRules } from './network-link.ts'

export interface OpenClusterOptions {
  readonly command: CommandOptions
  readonly clock: Clock
}

/** What `up` was asked for; what is left out is as it was, or the default. */
export interface WantedShape {
  readonly serverNode?: boolean
  readonly serverCpu?: number
  readonly virtualNodes?: number
  readonly untainted?: boolean
  readonly sandbox?: EmbeddedSandbox
}

export const defaultShape: ClusterShape = {
  serverNode: true,
  serverCpu: 1,
  virtualNodes: 2,
  untainted: false,
  sandbox: 'gvisor',
}

const neededMegabytes = 1_500

/** Rejects with one sentence when this machine or this user cannot have a cluster. */
export async function checkMachine(
  { processUid, cores }: { readonly processUid: number; readonly cores: number },
  wanted: WantedShape,
): Promise<void> {
  if (processUid !== 0) {
    throw new SpillwayError(
      'Environment',
      'The embedded cluster needs root for its namespaces and containers: run the command with sudo (without root there is "npm run demo -- --simulated").',
    )
  }
  const cpu = wanted.serverCpu ?? defaultShape.serverCpu
  if (!(cpu > 0) || cpu > cores) {
    throw new SpillwayError(
      'Usage',
      `--server-cpu: ${cpu} is not allowed: this machine has ${cores} cores, so take more than 0 and at most ${cores}.`,
    )
  }
  const nodes = wanted.virtualNodes ?? defaultShape.virtualNodes
  if (!Number.isInteger(nodes) || nodes < 0 || nodes > 100) {
    throw new SpillwayError(
      'Usage',
      `--virtual-nodes: ${nodes} is not allowed: take a whole number from 0 to 100.`,
    )
  }
  const { bavail, bsize } = await statfs('/var/lib')
  const freeMegabytes = Math.floor((bavail * bsize) / 1_000_000)
  if (freeMegabytes < neededMegabytes) {
    throw new SpillwayError(
      'Environment',
      `The disk that holds ${stateRoot} has ${freeMegabytes} MB free, and a cluster needs about ${neededMegabytes} MB: free some space and run this again.`,
    )
  }
}

/** The cluster's file: the one that is there, or a new one with a number that nobody has. */
export async function claimCluster(
  name: string,
  wanted: WantedShape,
  { command, clock }: OpenClusterOptions,
  signal: AbortSignal,
): Promise<ClusterFile> {
  checkClusterName(name)
  const existing = await readClusterFile(name)
  if (existing !== undefined) {
    checkSameShape(existing, wanted)
    return existing
  }
  const claimed = await withMachineLock(
    'index',
    { patienceMs: 60_000, clock },
    async () => {
      const taken = new Set<number>()
      for (const other of await clusterNames()) {
        const index = (await readClusterFile(other))?.index
        if (index !== undefined) taken.add(index)
      }
      const file: ClusterFile = {
        version: 1,
        name,
        index: await findFreeIndex(taken, command, signal),
        phase: 'starting',
        shape: { ...defaultShape, ...wanted },
        kernelSettings: await readKernelSettings(),
        components: {},
      }
      await writeClusterFile(file)
      await mkdir(`${runRoot}/${name}`, { recursive: true })
      return file
    },
    signal,
  )
  if (claimed === undefined) {
    throw new SpillwayError(
      'Environment',
      'Another start is taking very long: run this again when it is done.',
    )
  }
  return claimed.result
}

function checkSameShape(existing: ClusterFile, wanted: WantedShape): void {
  for (const [key, value] of Object.entries(wanted)) {
    const current = { ...defaultShape, ...existing.shape }[key as keyof ClusterShape]
    if (value === undefined || value === current) continue
    throw new SpillwayError(
      'Environment',
      `Cluster "${existing.name}" exists with ${key} ${current}, and ${key} ${value} is wanted: run "npm run down -- --name ${existing.name}" first, or give another --name.`,
    )
  }
}

/** The cluster's namespaces, wire and cgroups: those that are there, or new ones after a reboot or for a first start. */
export async function openNamespace(
  file: ClusterFile,
  options: OpenClusterOptions,
  signal: AbortSignal,
): Promise<ClusterFile> {
  const layout = clusterLayout(file.name, file.index)
  if (file.namespace !== undefined && file.phase === 'ready' && (await canBeEntered(file.namespace))) {
    return file
  }
  for (const directory of [layout.logsDir, layout.runDir]) await mkdir(directory, { recursive: true })
  // A start that was cut short may have left them half furnished.
  await endNamespaces({ name: file.name, known: file.namespace }, options.clock, signal)
  for (const group of Object.values(layout.cgroups)) await makeCgroup(group)
  const namespace = await createNamespace(layout, options, signal)
  const opened: ClusterFile = { ...file, namespace, phase: 'starting' }
  await writeClusterFile(opened)
  await furnish(layout, opened, options, signal)
  return opened
}

async function furnish(
  layout: ClusterLayout,
  { namespace }: ClusterFile,
  { command }: OpenClusterOptions,
  signal: AbortSignal,
): Promise<void> {
  if (namespace === undefined) return
  await runScriptInside(namespace, mountScript(layout), command, signal)
  await createLink(layout, namespace.init.pid, command, signal)
  await runScriptInside(namespace, innerLinkCommands(layout), command, signal)
  const { exitCode, stderr } = await runInside(
    namespace,
    [
      'sh',
      '-c',
      'echo "$1" | nft -f -',
      'sh',
      podNetworkRules({ podsNetwork: allPodsNetwork, virtualAddresses: virtualPodAddresses() }),
    ],
    command,
    signal,
  )
  if (exitCode !== 0) {
    throw new SpillwayError(
      'Environment',
      `nftables rules cannot be set, which kube-proxy needs too (is the kernel module nf_tables there?): ${stderr.trim()}`,
    )
  }
}

/** Whether the kernel has AppArmor, and uses it. */
export async function hasAppArmor(): Promise<boolean> {
  try {
    return (await readFile('/sys/module/apparmor/parameters/enabled', 'utf8')).startsWith('Y')
  } catch {
    // No such module.
    return false
  }
}
