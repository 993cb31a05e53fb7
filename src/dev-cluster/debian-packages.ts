import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import type { Environment, UserIds } from './cache-dir.ts'
import { outputTail, runCommand } from './command.ts'
import { findProgram, searchPath } from './find-program.ts'

export interface UnpackOptions {
  readonly environment: Environment
  readonly runAs: UserIds | undefined
  /** An existing empty folder that `runAs` may write. */
  readonly workDir: string
  /** Which of the packages that they depend on are wanted too. */
  readonly wantDependency: (packageName: string) => boolean
}

/**
 * Fetches Debian or Ubuntu packages with those that they depend on and unpacks them, without installing anything: no
 * root needed, no service started. Returns the folder with their files. Rejects with `Environment`.
 */
export async function unpackPackages(
  packageNames: readonly string[],
  options: UnpackOptions,
  signal: AbortSignal,
): Promise<string> {
  const { environment, runAs, workDir } = options
  const tools = searchPath(environment)
  const [aptGet, dpkgDeb] = [await findProgram('apt-get', tools), await findProgram('dpkg-deb', tools)]
  if (aptGet === undefined || dpkgDeb === undefined) {
    throw new SpillwayError(
      'Environment',
      `Packages (${packageNames.join(', ')}) are fetched with apt-get, which this system does not have: use Debian or Ubuntu.`,
    )
  }
  const run = async (file: string, args: readonly string[], doing: string): Promise<string> => {
    const result = await runCommand(file, args, { environment, workingDir: workDir, runAs }, signal)
    if (result.exitCode === 0) return result.stdout
    throw new SpillwayError(
      'Environment',
      `${doing} failed: run "sudo apt-get update" and try again. It said: ${outputTail(result.stderr)}`,
    )
  }
  const rootDir = join(workDir, 'root')
  const asked = new Set(packageNames)
  // All that one round asks for at once: most of a call's time goes into reading the package lists.
  for (let wanted = [...packageNames]; wanted.length > 0;) {
    const before = new Set(await readdir(workDir))
    await run(aptGet, ['download', '-q', ...wanted], `"apt-get download ${wanted.join(' ')}"`)
    const archives = (await readdir(workDir)).filter((file) => file.endsWith('.deb') && !before.has(file))
    wanted = []
    for (const archive of archives) {
      await run(dpkgDeb, ['-x', archive, rootDir], `Unpacking ${archive}`)
      const depends = await run(dpkgDeb, ['-f', archive, 'Depends'], `Reading ${archive}`)
      for (const name of dependencyNames(depends)) {
        if (asked.has(name) || !options.wantDependency(name)) continue
        asked.add(name)
        wanted.push(name)
      }
    }
  }
  return rootDir
}

/** Names in a `Depends` field (deb-control(5)); of alternatives the first. */
export function dependencyNames(depends: string): readonly string[] {
  const names = depends.split(',').map((item) => /^\s*([a-z0-9][a-z0-9.+-]*)/.exec(item)?.[1])
  return [...new Set(names.filter((name) => name !== undefined))]
}
