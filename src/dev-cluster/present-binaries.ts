import { isAbsolute, join } from 'node:path'
import type { Environment } from './cache-dir.ts'
import { runCommand } from './command.ts'
import type { BinaryName, BinarySpec, Component } from './components.ts'
import { cacheFolder, componentOf, components, specOf } from './components.ts'
import { findProgram, isExecutable, searchPath } from './find-program.ts'
import { findVersion, isSameMinor } from './version.ts'

/** Where a binary lies in the cache, built or not. */
export function cachedPath(
  cacheDir: string,
  name: BinaryName,
  table: readonly Component[] = components,
): string {
  return join(cacheDir, cacheFolder(componentOf(name, table)), name)
}

export interface FindPresentOptions {
  readonly cacheDir: string
  readonly environment: Environment
  /** The pinned versions; those of our clusters unless told. */
  readonly table?: readonly Component[]
}

/**
 * A binary that need not be built: in $KUBEBUILDER_ASSETS or on PATH if it is of the pinned minor version, else in
 * the cache. An old kubectl that someone has on PATH is passed over.
 */
export async function findPresent(
  name: BinaryName,
  options: FindPresentOptions,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { cacheDir, environment, table = components } = options
  const assets = environment['KUBEBUILDER_ASSETS']
  const places = [assets === undefined || !isAbsolute(assets) ? [] : [assets], searchPath(environment)]
  for (const dirs of places) {
    const path = await findProgram(name, dirs)
    if (path === undefined) continue
    const program = { path, ...specOf(name, table), pinned: componentOf(name, table).version }
    if (await isOfPinnedMinor(program, environment, signal)) return path
  }
  const cached = cachedPath(cacheDir, name, table)
  return (await isExecutable(cached)) ? cached : undefined
}

interface FoundProgram extends Pick<BinarySpec, 'versionArguments'> {
  readonly path: string
  /** As in `v1.37.2`. */
  readonly pinned: string
}

async function isOfPinnedMinor(
  { path, versionArguments, pinned }: FoundProgram,
  environment: Environment,
  signal: AbortSignal,
): Promise<boolean> {
  if (versionArguments === undefined) return false
  try {
    const { stdout, stderr } = await runCommand(
      path,
      versionArguments,
      { environment, timeoutMs: 20_000 },
      signal,
    )
    return isSameMinor(findVersion(stdout || stderr), findVersion(pinned))
  } catch {
    signal.throwIfAborted()
    // Of a foreign architecture, or a dangling script: not what we look for.
    return false
  }
}
