import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'
import type { ClusterLayout } from './cluster-layout.ts'
import { outputTail, runCommand, type CommandOptions, type CommandResult } from './command.ts'
import {
  isRunning,
  logTail,
  recordOf,
  startProcess,
  stopProcess,
  type ProcessRecord,
  type Program,
} from './process.ts'
import { holdsNamespaces, listProcesses, outerPid } from './process-table.ts'
import { waitUntil } from './wait-until.ts'

/** The network, mount and PID namespace of one cluster. */
export interface ClusterNamespace {
  /** The unshare(1) outside; it ends with the first process. */
  readonly holder: ProcessRecord
  /** The first process inside, by its pid outside. Killing it ends everything inside: the kernel sees to that. */
  readonly init: ProcessRecord
}

// Whatever loses its parent inside becomes a child of the first process, which has to collect it or it stays a zombie
// for ever: containers' shims, by design, and all components. A shell that waits for a child of its own collects
// adopted ones on the way. `wait` returns when the sleep ends, hence the loop.
const initScript = 'while :; do sleep 2147483 & wait "$!"; done'

const unshareFlags = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child'] as const

/** Makes empty namespaces. They last until `init` is killed, whoever made them. */
export async function createNamespace(
  layout: ClusterLayout,
  options: { readonly command: CommandOptions; readonly clock: Clock },
  signal: AbortSignal,
): Promise<ClusterNamespace> {
  const logFile = join(layout.logsDir, 'namespace.log')
  const holder = await startProcess(
    {
      file: 'unshare',
      args: [...unshareFlags, 'sh', '-c', initScript, namespaceMarker(layout.name)],
      environment: options.command.environment,
    },
    { logFile, workingDir: '/', diesWithUs: false },
  )
  const pid = await waitUntil(
    () => findInit(holder.pid),
    {
      condition: 'the namespaces exist',
      timeoutMs: 10_000,
      clock: options.clock,
      checkAlive: async () => {
        if (await isRunning(holder)) return
        throw new SpillwayError(
          'Environment',
          `network, mount and PID namespaces cannot be made here: ${await logTail(logFile, 1)}`,
        )
      },
    },
    signal,
  )
  return { holder, init: await recordOf(pid, 'the first process of the namespaces') }
}

/** Whether programs can still be started inside: not once it was killed, however long its end takes. */
export async function canBeEntered({ init }: ClusterNamespace): Promise<boolean> {
  return (await isRunning(init)) && (await holdsNamespaces(init.pid))
}

/** Kills every process in the namespaces of that cluster, from whichever start; resolves when they are gone. */
export async function endNamespaces(
  { name, known }: { readonly name: string; readonly known: ClusterNamespace | undefined },
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  // A process that is ending has no command line any more to be found by; the record still names it.
  const recorded = known === undefined ? [] : [known.holder, known.init]
  for (const holder of [...(await findNamespaceHolders(name)), ...recorded]) {
    await stopProcess(holder, { graceMs: 0, clock }, signal)
  }
}

/** An argument of every process that holds namespaces of that cluster: known even if its pid was never written down. */
export function namespaceMarker(clusterName: string): string {
  return `spillway-namespaces-of=${clusterName}`
}

/** Processes that hold namespaces of that cluster, from whichever start. */
async function findNamespaceHolders(clusterName: string): Promise<readonly ProcessRecord[]> {
  const marker = namespaceMarker(clusterName)
  const found: ProcessRecord[] = []
  for (const { pid } of await listProcesses()) {
    const argv = await commandLine(pid)
    if (argv.at(-1) !== marker || (argv[0] !== 'unshare' && argv[0] !== 'sh')) continue
    found.push(await recordOf(pid, 'a namespace holder'))
  }
  return found
}

// It is a copy of unshare until its mounts are made; then it becomes the shell.
async function findInit(holderPid: number): Promise<number | undefined> {
  const child = (await listProcesses()).find(({ parentPid }) => parentPid === holderPid)
  if (child === undefined) return undefined
  return (await commandLine(child.pid))[0] === 'sh' ? child.pid : undefined
}

async function commandLine(pid: number): Promise<readonly string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1)
  } catch {
    // It ended while we looked.
    return []
  }
}

/**
 * Private folders in place of the machine's own, for what programs write to fixed places: nothing of it is left on the
 * host, and clusters do not meet there. `/run` (shims' sockets, network namespaces, locks) and `/var/log` (kubelet's
 * container links) are empty; `/var/lib` (kubelet's device plugins, CNI's cache) is an overlay, because the command
 * that is run inside may itself live below it. The cluster's own state and sockets are the real ones. Name servers are
 * those that answer from inside; a link to a folder below `/run` that is gone here stands for none.
 */
export function mountScript({ stateDir, runDir }: Pick<ClusterLayout, 'stateDir' | 'runDir'>): string {
  return `
stage='${stateDir}/private'
mkdir -p "$stage"
mount -t tmpfs -o mode=755 spillway "$stage"
mkdir -p "$stage/containerd" "$stage/netns" "$stage/lock" "$stage${runDir.replace(/^\/run/, '')}" "$stage/private/state" "$stage/private/upper" "$stage/private/work"
mount --bind '${runDir}' "$stage${runDir.replace(/^\/run/, '')}"
mount --bind '${stateDir}' "$stage/private/state"
mount --rbind "$stage" /run
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/private/upper,workdir=/run/private/work spillway /var/lib
mount --bind /run/private/state '${stateDir}'
mount -t tmpfs -o mode=755 spillway /var/log
touch '${stateDir}/resolv.conf'
if [ -e /etc/resolv.conf ]; then mount --bind '${stateDir}/resolv.conf' /etc/resolv.conf; fi
`
}

/** Runs a program inside to its end. */
export async function runInside(
  namespace: ClusterNamespace,
  argv: readonly string[],
  command: CommandOptions,
  signal: AbortSignal,
): Promise<CommandResult> {
  return runCommand('nsenter', [...entering(namespace), ...argv], command, signal)
}

/** Runs a shell script inside that stops at its first failure. Rejects with Environment then. */
export async function runScriptInside(
  namespace: ClusterNamespace,
  script: string,
  command: CommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const { exitCode, stderr } = await runInside(namespace, ['sh', '-ec', script], command, signal)
  if (exitCode !== 0) {
    throw new SpillwayError('Environment', `preparing the namespaces failed: ${outputTail(stderr)}`)
  }
}

// Without its parent at once, it becomes a child of the namespace's first process, and no helper of ours stays.
const launchScript = 'cd "$1" && log="$2" && shift 2 && { "$@" </dev/null >>"$log" 2>&1 & echo $!; }'

/** Starts a program inside that lives on. Rejects with Environment when it cannot be started. */
export async function startInside(
  namespace: ClusterNamespace,
  program: Program,
  { logFile, workingDir }: { readonly logFile: string; readonly workingDir: string },
  signal: AbortSignal,
): Promise<ProcessRecord> {
  const { stdout, stderr } = await runInside(
    namespace,
    ['sh', '-c', launchScript, 'launch', workingDir, logFile, program.file, ...program.args],
    { environment: program.environment },
    signal,
  )
  const inner = Number(stdout.trim())
  if (!Number.isInteger(inner) || inner <= 0) {
    throw new SpillwayError('Environment', `${program.file} cannot be started: ${outputTail(stderr)}`)
  }
  const pid = await outerPid(namespace.init.pid, inner)
  if (pid === undefined) {
    throw new SpillwayError(
      'Environment',
      `${program.file} ended as soon as it was started:\n${await logTail(logFile)}`,
    )
  }
  return recordOf(pid, program.file)
}

function entering({ init }: ClusterNamespace): readonly string[] {
  return ['--target', String(init.pid), '--net', '--mount', '--pid', '--']
}
