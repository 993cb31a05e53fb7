import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import { stateRoot } from './cluster-layout.ts'
import type { KernelSettings } from './kernel-settings.ts'
import type { ProcessRecord, Program } from './process.ts'

/** What a person asked for with `up`. */
export interface ClusterShape {
  readonly serverNode: boolean
  /** Cores that Pods may have on the server node. */
  readonly serverCpu: number
  readonly virtualNodes: number
  /** Virtual nodes without their taints: every Pod may come. */
  readonly untainted: boolean
  /** What the first pool makes its sandboxes by; left out, in files of older versions: gVisor. */
  readonly sandbox?: EmbeddedSandbox
}

export const embeddedSandboxes = ['gvisor', 'runc'] as const

export type EmbeddedSandbox = (typeof embeddedSandboxes)[number]

/**
 * `cluster.json`: what there is of a cluster, written before and after each step, so that `down` can undo a start that
 * was cut short.
 */
export interface ClusterFile {
  readonly version: 1
  readonly name: string
  readonly index: number
  readonly phase: 'starting' | 'ready'
  readonly shape: ClusterShape
  /** To be put back at the end. */
  readonly kernelSettings: KernelSettings
  /** `holder` is the unshare(1) that keeps the namespaces; `init` is their first process. */
  readonly namespace?: { readonly holder: ProcessRecord; readonly init: ProcessRecord }
  /** By name, in the order in which they were started first. */
  readonly components: Readonly<Record<string, ComponentRecord>>
}

export interface ComponentRecord {
  readonly program: Program
  readonly workingDir: string
  readonly logFile: string
  /** Left out while it is being started. */
  readonly process?: ProcessRecord
}

/** Undefined when there is no cluster of that name, or nothing but a half-made folder. */
export async function readClusterFile(name: string): Promise<ClusterFile | undefined> {
  const path = clusterFilePath(name)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code === 'EACCES') {
      throw new SpillwayError('Environment', `${path} belongs to root: run the command with sudo.`, {
        cause: error,
      })
    }
    throw error
  }
  try {
    return JSON.parse(text) as ClusterFile
  } catch (cause) {
    throw new SpillwayError('Environment', `${path} is damaged: run "npm run down -- --name ${name}".`, {
      cause,
    })
  }
}

/** Replaces the file as a whole, so that nobody reads half of it. */
export async function writeClusterFile(file: ClusterFile): Promise<void> {
  await mkdir(join(stateRoot, file.name), { recursive: true, mode: 0o755 })
  const path = clusterFilePath(file.name)
  await writeFile(`${path}.partial`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 })
  await rename(`${path}.partial`, path)
}

/** Names of all clusters that left something in the state folder. */
export async function clusterNames(): Promise<readonly string[]> {
  try {
    return await readdir(stateRoot)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function clusterFilePath(name: string): string {
  return join(stateRoot, name, 'cluster.json')
}
