import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readLimits, readMemoryUsage, writeLimits, writePidsLimit } from './cgroup-files.ts'
import { cgroupLayout, type CgroupLayout } from './cgroup-layout.ts'
import { killProcess } from './kill-process.ts'
import type { CpuMemory } from './linux-resources.ts'

/**
 * The Pod-level cgroups below our parent: what all containers of a Pod together may use. containerd makes only the
 * containers' own, and expects the parent to be there in every v1 controller.
 */
export class Cgroups {
  readonly #layout: CgroupLayout
  readonly #parent: string
  readonly #pidsLimit: number | undefined

  /** `pidsLimit`: most processes and threads of each Pod; left out: no limit of ours. */
  constructor(layout: CgroupLayout, parent: string, pidsLimit?: number) {
    this.#layout = layout
    this.#parent = parent
    this.#pidsLimit = pidsLimit
  }

  get #roots(): readonly string[] {
    return this.#layout.version === 2 ? [this.#layout.root] : this.#layout.roots
  }

  static async open(parent: string, pidsLimit?: number): Promise<Cgroups> {
    return new Cgroups(cgroupLayout(await readFile('/proc/self/mountinfo', 'utf8')), parent, pidsLimit)
  }

  get version(): 1 | 2 {
    return this.#layout.version
  }

  /** As `cgroup_parent` of the sandbox. */
  pathOf(uid: string): string {
    return `${this.#parent}/pod${uid}`
  }

  /** Makes or updates the Pod's cgroup. */
  async ensure(uid: string, limits: CpuMemory): Promise<void> {
    const path = this.pathOf(uid)
    await Promise.all(this.#roots.map((root) => mkdir(join(root, path), { recursive: true })))
    if (this.#layout.version === 2) {
      await this.#delegate(this.#layout.root, dirname(join(this.#layout.root, path)))
    }
    await Promise.all([
      writeLimits(this.#layout, path, limits),
      this.#pidsLimit === undefined ? undefined : writePidsLimit(this.#layout, path, this.#pidsLimit),
    ])
  }

  /** Changes what is given. */
  async set(uid: string, part: Partial<CpuMemory>): Promise<void> {
    await writeLimits(this.#layout, this.pathOf(uid), part)
  }

  /** What it has; `wanted` decides between sizes that the kernel does not tell apart. Rejects when there is none. */
  async limits(uid: string, wanted: CpuMemory): Promise<CpuMemory> {
    return await readLimits(this.#layout, this.pathOf(uid), wanted)
  }

  /** All memory that is charged to the Pod, page cache included. */
  async memoryUsageBytes(uid: string): Promise<bigint> {
    return await readMemoryUsage(this.#layout, this.pathOf(uid))
  }

  /** Whether no process of that container of the Pod is left, by the kernel's word. */
  async isEmpty(uid: string, containerId: string): Promise<boolean> {
    const path = join(this.pathOf(uid), containerId)
    for (const root of this.#roots) if (await hasProcesses(join(root, path))) return false
    return true
  }

  /** Kills every process in the Pod's cgroup and below. */
  async kill(uid: string): Promise<void> {
    for (const root of this.#roots) await killTree(join(root, this.pathOf(uid)))
  }

  /** Removes the Pod's cgroup and what is below it. Resolves when gone; rejects while a process is in it. */
  async remove(uid: string): Promise<void> {
    for (const root of this.#roots) await removeTree(join(root, this.pathOf(uid)))
  }

  /** Removes our parent itself, once no Pod is left. */
  async removeParent(): Promise<void> {
    for (const root of this.#roots) await removeTree(join(root, this.#parent))
  }

  /** UIDs of the Pods that have a cgroup here. */
  async list(): Promise<string[]> {
    const uids = new Set<string>()
    for (const root of this.#roots) {
      for (const name of await entriesOf(join(root, this.#parent))) {
        if (name.startsWith('pod')) uids.add(name.slice('pod'.length))
      }
    }
    return [...uids]
  }

  // In v2 a controller reaches a cgroup only when every ancestor hands it down.
  async #delegate(root: string, parent: string): Promise<void> {
    const chain: string[] = []
    for (let path = parent; path.startsWith(root); path = dirname(path)) {
      chain.unshift(path)
      if (path === root) break
    }
    for (const path of chain) {
      const available = (await readFile(join(path, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/)
      const wanted = ['cpu', 'memory', 'pids', 'cpuset', 'io'].filter((name) => available.includes(name))
      await writeFile(join(path, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '))
    }
  }
}

/**
 * Removes a Pod's cgroup with what is left in it. Called when no container runs any more by the runtime's word, so what
 * is still inside is a leftover: a `runc init` whose creator was killed before it started it stays for ever, and no CRI
 * call reaches it. Kubelet kills what it finds in a Pod's cgroup too.
 */
async function removeTree(path: string): Promise<void> {
  for (const name of await entriesOf(path)) await removeTree(join(path, name))
  await killProcesses(path)
  try {
    await rmdir(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

async function killTree(path: string): Promise<void> {
  for (const name of await entriesOf(path)) await killTree(join(path, name))
  await killProcesses(path)
}

async function hasProcesses(path: string): Promise<boolean> {
  if ((await processesIn(path)).length > 0) return true
  for (const name of await entriesOf(path)) if (await hasProcesses(join(path, name))) return true
  return false
}

async function processesIn(path: string): Promise<readonly number[]> {
  const pids = await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '')
  return pids.split('\n').filter(Boolean).map(Number)
}

async function killProcesses(path: string): Promise<void> {
  for (const pid of await processesIn(path)) {
    // 0 stands for a process of another PID namespace.
    if (pid > 0) killProcess(pid)
  }
}

async function entriesOf(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
