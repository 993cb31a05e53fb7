import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'

export interface CgroupMount {
  readonly path: string
  readonly version: 1 | 2
  /** Of v1; empty for v2 and for a v1 hierarchy that only has a name. */
  readonly controllers: readonly string[]
}

const v1Controllers = new Set(
  'blkio cpu cpuacct cpuset devices freezer hugetlb memory misc net_cls net_prio perf_event pids rdma'.split(
    ' ',
  ),
)

/** The cgroup hierarchies in `/proc/mounts`: one on v2, one for each controller on v1, both where v1 is "hybrid". */
export function parseCgroupMounts(mounts: string): readonly CgroupMount[] {
  const found = new Map<string, CgroupMount>()
  for (const line of mounts.split('\n')) {
    const [, path = '', type, options = ''] = line.split(' ')
    if (type === 'cgroup2') found.set(path, { path, version: 2, controllers: [] })
    if (type === 'cgroup') {
      const controllers = options.split(',').filter((option) => v1Controllers.has(option))
      found.set(path, { path, version: 1, controllers })
    }
  }
  return [...found.values()]
}

export async function readCgroupMounts(): Promise<readonly CgroupMount[]> {
  return parseCgroupMounts(await readFile('/proc/mounts', 'utf8'))
}

/** Makes the group, as in `/spillway-default/server`, in every hierarchy, ready to take Pods. */
export async function makeCgroup(group: string): Promise<void> {
  for (const mount of await readCgroupMounts()) {
    let made = mount.path
    for (const part of group.split('/').filter((part) => part !== '')) {
      if (mount.version === 2) await enableControllers(made)
      made = join(made, part)
      await mkdir(made, { recursive: true })
      // A new cpuset is empty on v1, and takes no process until it is filled.
      if (mount.controllers.includes('cpuset')) await inheritCpuset(made)
    }
    if (mount.version === 2) await enableControllers(made)
  }
}

async function inheritCpuset(dir: string): Promise<void> {
  for (const name of ['cpuset.cpus', 'cpuset.mems']) {
    const own = (await readFile(join(dir, name), 'utf8')).trim()
    if (own === '') await writeFile(join(dir, name), await readFile(join(dirname(dir), name), 'utf8'))
  }
}

// On v2 a group's children have only the controllers that the group hands down.
async function enableControllers(dir: string): Promise<void> {
  const available = (await readFile(join(dir, 'cgroup.controllers'), 'utf8')).trim()
  for (const controller of available.split(' ').filter((name) => name !== '')) {
    try {
      await writeFile(join(dir, 'cgroup.subtree_control'), `+${controller}`)
    } catch (error) {
      // Some cannot be handed down on some kernels (cpu while real-time processes exist): kubelet and runc name the
      // one that they miss.
      if (!['EINVAL', 'EBUSY', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error
    }
  }
}

const patienceMs = 10_000

/** Removes the group and all below it from every hierarchy, killing what still runs there. Harmless when it is gone. */
export async function removeCgroup(group: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const deadlineMs = clock.monotonicMs() + patienceMs
  for (const mount of await readCgroupMounts()) {
    while (!(await tryRemove(join(mount.path, group)))) {
      if (clock.monotonicMs() >= deadlineMs) {
        throw new SpillwayError(
          'Environment',
          `the cgroup ${join(mount.path, group)} cannot be removed: processes in it do not end`,
        )
      }
      await clock.sleep(50, signal)
    }
  }
}

async function tryRemove(dir: string): Promise<boolean> {
  let removed = true
  try {
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      if (entry.isDirectory() && !(await tryRemove(join(dir, entry.name)))) removed = false
    }
    await killAll(dir)
    await rmdir(dir)
    return removed
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return removed
    // A process that was killed is still leaving.
    if (code === 'EBUSY' || code === 'ENOTEMPTY') return false
    throw error
  }
}

async function killAll(dir: string): Promise<void> {
  const pids = (await readFile(join(dir, 'cgroup.procs'), 'utf8')).split('\n').map(Number)
  for (const pid of pids.filter((pid) => pid > 0)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
