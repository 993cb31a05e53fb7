import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Story } from '../story.ts'
import { machinesFile } from './hostile-layers.ts'

/**
 * Looks at the machine while others try to get at it: a file of its own that nobody may read or change, and what should not
 * be there. What hostile hands write has the last part of `canary` in its name.
 */
export class MachineWatch {
  readonly canary: string
  readonly #story: Story
  readonly #facts: string

  private constructor({ story, canary, facts }: { story: Story; canary: string; facts: string }) {
    this.#story = story
    this.canary = canary
    this.#facts = facts
  }

  static async begin(story: Story): Promise<MachineWatch> {
    const canary = await mkdtemp(join(tmpdir(), 'spillway-abuse-'))
    await writeFile(join(canary, 'file'), machinesFile)
    return new MachineWatch({ story, canary, facts: await factsOf(story) })
  }

  /** What has changed on the machine and should not have. */
  async changes(): Promise<readonly string[]> {
    const file = await readFile(join(this.canary, 'file'), 'utf8').catch(String)
    const facts = await factsOf(this.#story)
    return [
      ...(file === machinesFile ? [] : [`the canary says: ${file}`]),
      ...(facts === this.#facts ? [] : [`the machine was ${this.#facts}, and is ${facts}`]),
      ...(await this.#traces()),
    ]
  }

  /** Files of hostile images that containerd has. */
  async unpacked(): Promise<readonly string[]> {
    const { rootDir } = this.#story.cluster.virtualContainerd
    return await find(this.#story, `find ${rootDir} -name '*${basename(this.canary)}*'`)
  }

  async end(): Promise<void> {
    await rm(this.canary, { recursive: true, force: true })
  }

  /** Beside the folders that containerd has unpacked into, and those of Pods. */
  async #traces(): Promise<readonly string[]> {
    const { rootDir } = this.#story.cluster.virtualContainerd
    const { stateDir, spillwayDir } = this.#story.cluster
    const name = `-name '*${basename(this.canary)}*'`
    const roots = `/ /etc /tmp /var /var/lib /var/log /run /usr ${stateDir}`
    const found = await find(
      this.#story,
      `find ${roots} -xdev -maxdepth 3 ${name} -not -path ${this.canary} -not -path '${spillwayDir}/*'
      find ${this.canary} -mindepth 1 -not -name file
      find ${rootDir} ${name} -not -path '*/snapshots/*/fs/*'`,
    )
    return found
  }
}

async function find(story: Story, script: string): Promise<readonly string[]> {
  // What goes away meanwhile is no error.
  const { stdout } = await story.running.exec(['sh', '-c', `(${script}) 2>/dev/null`], story.signal)
  return [...new Set(stdout.split('\n').filter((line) => line !== ''))]
}

/** What no Pod may change, and nothing else does. */
async function factsOf({ running, signal }: Story): Promise<string> {
  const script = `
    cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/swaps
    cut -d ' ' -f 2,3 /proc/mounts | grep -E '^/(tmp|proc|sys|dev|etc)?($| )' || true
    cat /proc/sys/kernel/core_pattern /proc/sys/kernel/randomize_va_space /proc/sys/vm/overcommit_memory`
  const { exitCode, stdout, stderr } = await running.exec(['sh', '-ec', script], signal)
  if (exitCode !== 0) throw new Error(`the machine cannot be looked at: ${stderr}`)
  return stdout.replaceAll('\n', ' ').trim()
}
