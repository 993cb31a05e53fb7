import { chown, mkdir, readdir } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import { runCommand } from './command.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** The person whose cache is used; with `uid` and `gid` when that is someone else than the process runs as. */
export interface Invoker {
  readonly home: string
  /** Set under sudo: commands run as, and files belong to, this user. */
  readonly runAs?: UserIds
}

export interface UserIds {
  readonly uid: number
  readonly gid: number
}

/**
 * Who typed the command. Under sudo that is not root: a cache of root's would be built a second time, and files of
 * root's in the person's home could not be cleaned by them.
 */
export async function findInvoker(
  environment: Environment,
  processUid: number,
  signal: AbortSignal,
): Promise<Invoker> {
  const uid = Number(environment['SUDO_UID'])
  const gid = Number(environment['SUDO_GID'])
  if (processUid === 0 && Number.isInteger(uid) && Number.isInteger(gid) && uid > 0) {
    // Not /etc/passwd by hand: the user may come from a directory service.
    const { stdout } = await runCommand('getent', ['passwd', String(uid)], { environment }, signal)
    const home = homeOfPasswdLine(stdout)
    if (home !== undefined) return { home, runAs: { uid, gid } }
  }
  const home = environment['HOME']
  if (home === undefined || !isAbsolute(home)) {
    throw new SpillwayError(
      'Environment',
      'HOME is not set to a folder: set it, so that there is a place for the cache.',
    )
  }
  return { home }
}

/** Sixth field of a passwd(5) line. */
export function homeOfPasswdLine(line: string): string | undefined {
  const home = line.trim().split(':')[5]
  return home !== undefined && isAbsolute(home) ? home : undefined
}

/** `$XDG_CACHE_HOME/spillway`, else `~/.cache/spillway`. A relative XDG_CACHE_HOME is to be ignored, says its standard. */
export function userCacheDir(environment: Environment, invoker: Invoker): string {
  const base = environment['XDG_CACHE_HOME']
  return join(base !== undefined && isAbsolute(base) ? base : join(invoker.home, '.cache'), 'spillway')
}

/** Makes a folder and those above it; the new ones belong to the owner, where one is given. */
export async function makeOwnedDir(path: string, owner: UserIds | undefined): Promise<void> {
  const firstMade = await mkdir(path, { recursive: true })
  if (firstMade === undefined || owner === undefined) return
  for (let made = path; made.length >= firstMade.length; made = dirname(made)) {
    await chown(made, owner.uid, owner.gid)
  }
}

/** Gives a folder with all that is in it to the owner. */
export async function chownTree(dir: string, owner: UserIds): Promise<void> {
  await chown(dir, owner.uid, owner.gid)
  for (const item of await readdir(dir, { recursive: true, withFileTypes: true })) {
    await chown(join(item.parentPath, item.name), owner.uid, owner.gid)
  }
}
