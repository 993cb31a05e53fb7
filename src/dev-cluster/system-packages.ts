import { open } from 'node:fs/promises'
import { SpillwayError } from '../model/errors.ts'
import type { Environment } from './cache-dir.ts'
import { outputTail, runCommand } from './command.ts'
import { findProgram, searchPath } from './find-program.ts'
import type { Progress } from './progress.ts'
import type { Version } from './version.ts'
import { findVersion, isAtLeast } from './version.ts'

export type SystemTool = 'runc' | 'nft' | 'ip' | 'busybox' | 'conntrack'

interface ToolSpec {
  /** Name of the package on Debian and Ubuntu. */
  readonly packageName: string
  readonly minimum?: { readonly version: Version; readonly versionArguments: readonly string[] }
  /** The file goes into images, where no C library is. */
  readonly mustBeStatic?: boolean
}

const toolTable: Readonly<Record<SystemTool, ToolSpec>> = {
  // Older ones do not know the OCI features that containerd 2 asks for.
  runc: { packageName: 'runc', minimum: { version: [1, 1, 0], versionArguments: ['--version'] } },
  nft: { packageName: 'nftables' },
  ip: { packageName: 'iproute2' },
  // The package `busybox` has the same program linked dynamically.
  busybox: { packageName: 'busybox-static', mustBeStatic: true },
  conntrack: { packageName: 'conntrack' },
}

export interface SystemToolsOptions {
  readonly environment: Environment
  /** Only root can install; others are told the command. */
  readonly processUid: number
  readonly progress: Progress
}

/**
 * Paths of programs that the operating system provides: found on PATH (sbin included), or installed with apt-get when
 * we are root. Rejects with `Environment`, one sentence that names what is missing and the command that remedies it.
 */
export async function getSystemTools(
  names: readonly SystemTool[],
  options: SystemToolsOptions,
  signal: AbortSignal,
): Promise<ReadonlyMap<SystemTool, string>> {
  const before = await findTools(names, options.environment, signal)
  const missing = names.filter((name) => !before.has(name))
  if (missing.length === 0) return before
  const aptGet = await findProgram('apt-get', searchPath(options.environment))
  if (aptGet === undefined || options.processUid !== 0) {
    throw new SpillwayError('Environment', missingToolsSentence(missing, aptGet !== undefined))
  }
  await install(aptGet, missing, options, signal)
  const after = await findTools(names, options.environment, signal)
  const still = names.filter((name) => !after.has(name))
  if (still.length > 0) throw new SpillwayError('Environment', missingToolsSentence(still, true))
  return after
}

/** The sentence for programs that are missing. */
export function missingToolsSentence(missing: readonly SystemTool[], hasApt: boolean): string {
  const packages = missing.map((name) => toolTable[name].packageName).join(' ')
  const what = missing.map(describe).join(', ')
  const remedy = hasApt
    ? `run "sudo apt-get install ${packages}"`
    : `install what your system calls ${packages} (on Debian and Ubuntu: apt-get install ${packages})`
  return `Missing on this machine: ${what}; ${remedy} and run this again.`
}

function describe(name: SystemTool): string {
  const { minimum, mustBeStatic } = toolTable[name]
  if (minimum) return `${name} ${minimum.version[0]}.${minimum.version[1]} or newer`
  return mustBeStatic ? `a static ${name}` : name
}

async function findTools(
  names: readonly SystemTool[],
  environment: Environment,
  signal: AbortSignal,
): Promise<Map<SystemTool, string>> {
  const found = new Map<SystemTool, string>()
  for (const name of names) {
    const path = await findProgram(name, searchPath(environment))
    if (path !== undefined && (await isFit(toolTable[name], path, environment, signal))) found.set(name, path)
  }
  return found
}

async function isFit(
  spec: ToolSpec,
  path: string,
  environment: Environment,
  signal: AbortSignal,
): Promise<boolean> {
  if (spec.mustBeStatic && !(await isStaticElf(path))) return false
  if (spec.minimum === undefined) return true
  const { versionArguments, version } = spec.minimum
  const { stdout } = await runCommand(path, versionArguments, { environment, timeoutMs: 20_000 }, signal)
  return isAtLeast(findVersion(stdout), version)
}

const elfHeaderBytes = 64
const programInterpreter = 3

/** Whether a 64-bit ELF file names no dynamic linker (elf(5): no program header of type PT_INTERP). */
export async function isStaticElf(path: string): Promise<boolean> {
  const file = await open(path)
  try {
    const header = Buffer.alloc(elfHeaderBytes)
    const { bytesRead } = await file.read(header, 0, elfHeaderBytes, 0)
    if (bytesRead < elfHeaderBytes || header.toString('latin1', 0, 4) !== '\u007FELF') return false
    const entrySize = header.readUInt16LE(54)
    const entries = header.readUInt16LE(56)
    const table = Buffer.alloc(entrySize * entries)
    await file.read(table, 0, table.length, Number(header.readBigUInt64LE(32)))
    for (let entry = 0; entry < entries; entry++) {
      if (table.readUInt32LE(entry * entrySize) === programInterpreter) return false
    }
    return true
  } finally {
    await file.close()
  }
}

async function install(
  aptGet: string,
  missing: readonly SystemTool[],
  options: SystemToolsOptions,
  signal: AbortSignal,
): Promise<void> {
  const packages = missing.map((name) => toolTable[name].packageName)
  const steps = [
    { name: 'apt-get update', weightSeconds: 8 },
    { name: `apt-get install ${packages.join(' ')}`, weightSeconds: 10 },
  ]
  const task = options.progress.begin('installing system packages', steps)
  let outcome: 'done' | 'failed' = 'failed'
  try {
    const environment = { ...options.environment, DEBIAN_FRONTEND: 'noninteractive' }
    // A failing update (one foreign source that is down) need not stop an install from the other lists.
    const update = await runCommand(aptGet, ['update', '-q'], { environment }, signal)
    task.step(steps[1]?.name ?? '')
    const args = ['install', '-y', '-q', '--no-install-recommends', ...packages]
    const { exitCode, stderr } = await runCommand(aptGet, args, { environment }, signal)
    if (exitCode !== 0) {
      const said = outputTail(`${update.exitCode === 0 ? '' : update.stderr}\n${stderr}`)
      throw new SpillwayError(
        'Environment',
        `${missingToolsSentence(missing, true)} Trying it here failed: ${said}`,
      )
    }
    outcome = 'done'
  } finally {
    task.end(outcome)
  }
}
