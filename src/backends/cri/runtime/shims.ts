import { readdir, readFile } from 'node:fs/promises'

// containerd runs the same program for these, too, for the moment that they take.
const errands = new Set(['start', 'delete'])

/**
 * Process ids of the shims of a sandbox, found by its id, which containerd gives each of them as `-id`. None where they are
 * in a PID namespace that is not ours to see.
 */
export async function shimsOf(sandboxId: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found = await Promise.all(pids.map(async (pid) => ((await isShim(pid, sandboxId)) ? [pid] : [])))
  return found.flat()
}

async function isShim(pid: number, sandboxId: string): Promise<boolean> {
  // Empty, too, of one that ended meanwhile.
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  const words = commandLine.split('\0').filter(Boolean)
  const at = words.indexOf('-id')
  return at > 0 && words[at + 1] === sandboxId && !errands.has(words.at(-1) ?? '')
}
