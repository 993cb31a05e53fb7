import { isAbsolute, join } from 'node:path'
import type { Environment } from './cache-dir.ts'
import { runCommand } from './command.ts'
import type { BinaryName } from './components.ts'
import { cacheFolder, componentOf, specOf } from './components.ts'
import { findProgram, isExecutable, searchPath } from './find-program.ts'
import { findVersion, isSameMinor } from './version.ts'

/** Where a binary lies in the cache, built or not. */
export function cachedPath(cacheDir: string, name: BinaryName): string {
  return join(cacheDir, cacheFolder(componentOf(name)), name)
}

/**
 * A binary that need not be built: in $KUBEBUILDER_ASSETS or on PATH if it is of the pinned minor version, else in
 * the cache. An old kubectl that someone has on PATH is passed over.
 */
export async function findPresent(
  name: BinaryName,
  options: { readonly cacheDir: string; readonly environment: Environment },
  signal: AbortSignal,
): Promise<string | undefined> {
  const { cacheDir, environment } = options
  const assets = environment['KUBEBUILDER_ASSETS']
  const places = [assets === undefined || !isAbsolute(assets) ? [] : [assets], searchPath(environment)]
  for (const dirs of places) {
    const path = await findProgram(name, dirs)
    if (path !== undefined && (await isOfPinnedMinor(name, path, environment, signal))) return path
  }
  const cached = cachedPath(cacheDir, name)
  return (await isExecutable(cached)) ? cached : undefined
}

async function isOfPinnedMinor(
  name: BinaryName,
  path: string,
  environment: Environment,
  signal: AbortSignal,
): Promise<boolean> {
  const { versionArguments } = specOf(name)
  if (versionArguments === undefined) return false
  try {
    const { stdout, stderr } = await runCommand(
      path,
      versionArguments,
      { environment, timeoutMs: 20_000 },
      signal,
    )
    return isSameMinor(findVersion(stdout || stderr), findVersion(componentOf(name).version))
  } catch {
    signal.throwIfAborted()
    // Of a foreign architecture, or a dangling script: not what we look for.
    return false
  }
}
