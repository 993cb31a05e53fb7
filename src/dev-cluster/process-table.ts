import { readdir, readFile, readlink } from 'node:fs/promises'

/** What `/proc` says of one process. */
export interface ProcessEntry {
  readonly pid: number
  readonly parentPid: number
  /** One letter of proc_pid_stat(5): `Z` is a zombie. */
  readonly state: string
  /** Clock ticks from boot to its start: with the pid it names a process for ever (until a reboot). */
  readonly startTicks: string
}

/** One process; undefined when there is none of that pid. */
export async function readProcess(pid: number): Promise<ProcessEntry | undefined> {
  try {
    return parseProcessStat(await readFile(`/proc/${pid}/stat`, 'utf8'))
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/**
 * Whether it has truly ended. A killed program of several threads is a zombie as soon as its first thread is gone,
 * while the others still hold its ports and files for some milliseconds.
 */
export async function isDead(entry: ProcessEntry): Promise<boolean> {
  if (entry.state !== 'Z') return false
  try {
    return (await readdir(`/proc/${entry.pid}/task`)).length <= 1
  } catch (error) {
    if (isGone(error)) return true
    throw error
  }
}

/** Every process that we can see, in no order. */
export async function listProcesses(): Promise<readonly ProcessEntry[]> {
  const entries = await Promise.all(
    (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map((name) => readProcess(Number(name))),
  )
  return entries.filter((entry) => entry !== undefined)
}

/** A line of `/proc/PID/stat`. The program's name, in brackets, may itself hold spaces and brackets. */
export function parseProcessStat(line: string): ProcessEntry {
  const nameEnd = line.lastIndexOf(')')
  const fields = line
    .slice(nameEnd + 2)
    .trim()
    .split(' ')
  const [state = '', parentPid = ''] = fields
  // Field 22 of the line, counted from 1, is the 20th after the name.
  return {
    pid: Number.parseInt(line, 10),
    parentPid: Number(parentPid),
    state,
    startTicks: fields[19] ?? '',
  }
}

/**
 * The pid that we see of a process which calls itself `innerPid` in the PID namespace of `initPid`. A process that
 * enters a namespace learns only its inner number, while signals from outside need the outer one.
 */
export async function outerPid(initPid: number, innerPid: number): Promise<number | undefined> {
  const namespace = await pidNamespace(initPid)
  for (const { pid } of await listProcesses()) {
    const inner = await innerPidOf(pid)
    if (inner === innerPid && (await pidNamespace(pid)) === namespace) return pid
  }
  return undefined
}

/** Processes in the PID namespace of that process, zombies left out. */
export async function processesInNamespaceOf(initPid: number): Promise<readonly ProcessEntry[]> {
  const namespace = await pidNamespace(initPid)
  if (namespace === undefined) return []
  const found: ProcessEntry[] = []
  for (const entry of await listProcesses()) {
    if (entry.state !== 'Z' && (await pidNamespace(entry.pid)) === namespace) found.push(entry)
  }
  return found
}

/**
 * Whether a process still has its namespaces. One that was killed gives them up while `/proc` still calls it running:
 * the first of a PID namespace then waits for all others of it to end, which takes as long as they are many.
 */
export async function holdsNamespaces(pid: number): Promise<boolean> {
  return (await namespaceOf(pid, 'net')) !== undefined
}

async function pidNamespace(pid: number): Promise<string | undefined> {
  return namespaceOf(pid, 'pid')
}

async function namespaceOf(pid: number, kind: 'net' | 'pid'): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/ns/${kind}`)
  } catch (error) {
    if (isGone(error) || isDenied(error)) return undefined
    throw error
  }
}

async function innerPidOf(pid: number): Promise<number | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    const numbers = /^NSpid:\s*(.+)$/m.exec(status)?.[1]?.split('\t')
    return numbers === undefined ? undefined : Number(numbers.at(-1))
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ESRCH'
}

function isDenied(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EACCES' || code === 'EPERM'
}
