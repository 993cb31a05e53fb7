import { readFile, readdir, rm, rmdir } from 'node:fs/promises'
import { hasCode, SpillwayError } from '../model/errors.ts'
import type { Clock } from '../model/clock.ts'
import type { Environment } from './cache-dir.ts'
import { removeCgroup } from './cgroups.ts'
import { readClusterFile, type ClusterFile } from './cluster-file.ts'
import { checkClusterName, clusterLayout, defaultClusterName, runRoot, stateRoot } from './cluster-layout.ts'
import type { CommandOptions } from './command.ts'
import { searchPath } from './find-program.ts'
import { restoreKernelSettings } from './kernel-settings.ts'
import { withMachineLock } from './machine-lock.ts'
import { endNamespaces } from './namespace.ts'
import type { OpenClusterOptions } from './open-cluster.ts'
import { removeLink } from './network-link.ts'
import { stopProcess } from './process.ts'

export interface DownOptions {
  /** Default `default`. */
  readonly name?: string
}

export interface DownContext {
  readonly environment: Environment
  readonly processUid: number
  readonly clock: Clock
}

// Spillway closes its ledger; everything else is thrown away with its files.
const spillwayGraceMs = 5_000

/**
 * Ends a cluster and removes all of it: processes, mounts, namespaces, link, cgroups, sockets, state. Resolves to
 * whether there was anything. Works for one that is half made or that a reboot killed. Rejects with Environment.
 */
export async function down(
  { name = defaultClusterName }: DownOptions,
  { environment, processUid, clock }: DownContext,
  signal: AbortSignal,
): Promise<boolean> {
  checkClusterName(name)
  const file = await readFileOfBroken(name)
  if (file === undefined && !(await hasRemains(name))) return false
  if (processUid !== 0) {
    throw new SpillwayError('Environment', `Cluster "${name}" belongs to root: run the command with sudo.`)
  }
  const command = commandOptions(environment)
  const work = (): Promise<void> => remove(name, file, { command, clock }, signal)
  if ((await withClusterLock(name, clock, work, signal)) === undefined) throw lockedError(name)
  return true
}

/** For the programs that starting and stopping run: the person's PATH, and the folders of administrators' programs. */
export function commandOptions(environment: Environment): CommandOptions {
  return { environment: { ...environment, PATH: searchPath(environment).join(':') } }
}

/** `up` and `down` of one cluster exclude each other. */
export function withClusterLock<T>(
  name: string,
  clock: Clock,
  work: () => Promise<T>,
  signal: AbortSignal,
): Promise<{ readonly result: T } | undefined> {
  return withMachineLock(`cluster-${name}`, { patienceMs: 2_000, clock }, work, signal)
}

export function lockedError(name: string): SpillwayError {
  return new SpillwayError(
    'Environment',
    `Another command is starting or stopping cluster "${name}" right now: wait until it is done, or stop it, and run this again.`,
  )
}

async function remove(
  name: string,
  file: ClusterFile | undefined,
  { command, clock }: OpenClusterOptions,
  signal: AbortSignal,
): Promise<void> {
  const spillway = file?.components['spillway']?.process
  if (spillway !== undefined) await stopProcess(spillway, { graceMs: spillwayGraceMs, clock }, signal)
  await endNamespaces({ name, known: file?.namespace }, clock, signal)
  const layout = clusterLayout(name, file?.index ?? 0)
  // Without the file its number is not known; the kernel takes the wire away with the namespace, a little later.
  if (file !== undefined) await removeLink(layout.hostLink, command, signal)
  await restoreKernelSettings(file?.kernelSettings ?? {})
  await removeCgroup(layout.cgroups.root, clock, signal)
  for (const dir of [layout.stateDir, layout.runDir]) {
    await refuseMounts(dir)
    await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  // Under the lock of those who are about to make a folder there.
  await withMachineLock(
    'index',
    { patienceMs: 5_000, clock },
    async () => {
      for (const dir of [stateRoot, runRoot]) await removeIfEmpty(dir)
    },
    signal,
  )
}

// Nothing of ours is mounted there outside the namespaces. What somebody else mounted would be emptied with the folder.
async function refuseMounts(dir: string): Promise<void> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  const below = mounts.split('\n').find((line) => (line.split(' ')[1] ?? '').startsWith(`${dir}/`))
  if (below === undefined) return
  const path = below.split(' ')[1] ?? ''
  throw new SpillwayError(
    'Environment',
    `${path} is a mount that is not ours, inside a folder that is to be removed: run "umount ${path}" and this again.`,
  )
}

async function removeIfEmpty(dir: string): Promise<void> {
  try {
    await rmdir(dir)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

async function readFileOfBroken(name: string): Promise<ClusterFile | undefined> {
  try {
    return await readClusterFile(name)
  } catch (error) {
    // Damaged, or not ours to read: what there is gets removed, or refused, below.
    if (hasCode(error, 'Environment')) return undefined
    throw error
  }
}

async function hasRemains(name: string): Promise<boolean> {
  for (const root of [stateRoot, runRoot]) {
    try {
      if ((await readdir(root)).includes(name)) return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return false
}
