import { isDeepStrictEqual } from 'node:util'
import { errorMessage, hasCode, SpillwayError } from '../../../model/errors.ts'
import type { KnownDoors } from '../../../model/node-door.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { CommandShell } from '../command-shell.ts'
import type { CriClient } from '../runtime/client.ts'
import type { SandboxStatus } from '../runtime/cri-types.ts'
import { interfaceKinds } from './interface-kinds.ts'
import {
  changeScript,
  removalScript,
  wholeScript,
  type IsolationFacts,
  type LiveFacts,
} from './isolation-rules.ts'
import type { NetworkGuard } from './network-guard.ts'
import { setRules } from './set-rules.ts'
import { hostInterfaces, isOnHostNetwork, sandboxLink, type SandboxLink } from './sandbox-link.ts'

export interface IsolationOptions {
  readonly facts: Omit<IsolationFacts, 'doors' | 'links'>
  readonly doors: KnownDoors
  readonly client: Pick<CriClient, 'cniInterfaces'>
  /** Of its own, so that rules do not wait for mounts; closed with it. */
  readonly shell: Pick<CommandShell, 'feed' | 'read' | 'close'>
  readonly log: Log
}

const noInterface =
  'its CNI plugin names no interface of this machine that rules can be set for (docs/network.md; options.network.isolation)'

/**
 * Rules of nftables that are ours alone (`isolation-rules.ts`), kept as the sandboxes and the cluster's nodes are: what is
 * wanted is compared with what was set, and the difference set in one transaction, for however many Pods start at once.
 * The first time, and whenever that fails or the tables are gone, all of it is set anew: nothing of an earlier life of
 * this process has to be known, and Pods that run are never without.
 */
export class Isolation implements NetworkGuard {
  readonly #options: IsolationOptions
  readonly #life = new AbortController()
  readonly #unsubscribe: () => void
  /** By interface: a sandbox that takes another's place may be given the same one. */
  readonly #wanted = new Map<string, SandboxLink>()
  readonly #bridges = new Set<string>()
  #set: LiveFacts | undefined
  #setting: Promise<void> | undefined
  #trouble: string | undefined
  #hasFollowed = false

  constructor(options: IsolationOptions) {
    this.#options = options
    this.#unsubscribe = options.doors.onChange(() => this.#changed())
  }

  get trouble(): string | undefined {
    return this.#trouble
  }

  async prepare(signal: AbortSignal): Promise<void> {
    if (this.#set === undefined) await this.#catchUp()
    signal.throwIfAborted()
  }

  async admit(sandbox: SandboxStatus, signal: AbortSignal): Promise<void> {
    if (this.#guards(sandbox.id) || isOnHostNetwork(sandbox)) return
    const link = await this.#look(sandbox, signal)
    if (link === undefined) throw new SpillwayError('Unavailable', noInterface)
    this.#wanted.set(link.hostInterface, link)
    // What is being set just now may have been put together before.
    while (!this.#guards(sandbox.id)) {
      if (!this.#wants(sandbox.id))
        throw new SpillwayError('Unavailable', 'the sandbox has no network any more')
      await this.#catchUp()
    }
    signal.throwIfAborted()
  }

  release(sandboxId: string): void {
    for (const link of this.#wanted.values()) {
      if (link.sandboxId === sandboxId) this.#wanted.delete(link.hostInterface)
    }
    this.#changed()
  }

  async follow(sandboxes: readonly SandboxStatus[], signal: AbortSignal): Promise<void> {
    const live = sandboxes.filter((one) => one.state === 'SANDBOX_READY' && !isOnHostNetwork(one))
    const ids = new Set(live.map(({ id }) => id))
    for (const link of this.#wanted.values()) {
      if (!ids.has(link.sandboxId)) this.#wanted.delete(link.hostInterface)
    }
    try {
      if (this.#set !== undefined && !(await this.#areThere(signal))) {
        this.#options.log.warn(
          { table: this.#options.facts.table },
          'the rules of isolation are gone; set anew',
        )
        this.#set = undefined
      }
      for (const sandbox of live) {
        if (this.#wants(sandbox.id)) continue
        const link = await this.#look(sandbox, signal)
        if (link) this.#wanted.set(link.hostInterface, link)
        else this.#options.log.warn({ sandbox: sandbox.id }, `a Pod runs without isolation: ${noInterface}`)
      }
      this.#hasFollowed = true
      await this.#catchUp()
    } catch (error) {
      if (!signal.aborted) this.#failed(error)
    }
  }

  async close(): Promise<void> {
    this.#unsubscribe()
    await this.#setting?.catch(() => undefined)
    this.#life.abort(new SpillwayError('Unavailable', 'the backend is closing'))
    // Only who knows that there are no Pods: rules of an earlier life may be guarding some.
    if (this.#hasFollowed && this.#wanted.size === 0) await this.#remove()
    this.#options.shell.close()
  }

  #guards(sandboxId: string): boolean {
    return this.#set?.links.some((link) => link.sandboxId === sandboxId) ?? false
  }

  #wants(sandboxId: string): boolean {
    return [...this.#wanted.values()].some((link) => link.sandboxId === sandboxId)
  }

  async #look(sandbox: SandboxStatus, signal: AbortSignal): Promise<SandboxLink | undefined> {
    const { client, shell } = this.#options
    const interfaces = await client.cniInterfaces(sandbox.id, signal).catch((error: unknown) => {
      if (hasCode(error, 'NotFound')) return {}
      throw error
    })
    const names = hostInterfaces(interfaces).filter((name) => !this.#bridges.has(name))
    const kinds = await interfaceKinds(names, shell, signal)
    for (const [name, kind] of kinds) if (kind === 'bridge') this.#bridges.add(name)
    return sandboxLink(sandbox, interfaces, kinds)
  }

  #changed(): void {
    if (this.#life.signal.aborted || this.#set === undefined) return
    this.#catchUp().catch(() => undefined)
  }

  /** Sets what is wanted; those who ask meanwhile share it. */
  async #catchUp(): Promise<void> {
    this.#setting ??= this.#setWanted().finally(() => {
      this.#setting = undefined
    })
    await this.#setting
  }

  async #setWanted(): Promise<void> {
    const { facts, doors, shell } = this.#options
    // All is set anew from what is known; rules of an earlier life may be guarding what is not known yet.
    if (!this.#hasFollowed) {
      throw new SpillwayError('Unavailable', this.#trouble ?? 'it is not known yet which sandboxes there are')
    }
    const wanted = { doors: doors.list(), links: [...this.#wanted.values()] }
    if (this.#set !== undefined && isDeepStrictEqual(this.#set, wanted)) return
    try {
      const script =
        this.#set === undefined
          ? wholeScript({ ...facts, ...wanted })
          : changeScript(facts.table, this.#set, wanted)
      await setRules(shell, script, this.#life.signal)
    } catch (error) {
      const wasKnown = this.#set !== undefined
      this.#set = undefined
      // Somebody may have changed them: then all of it.
      if (wasKnown) return await this.#setWanted()
      this.#failed(error)
      throw new SpillwayError('Unavailable', this.#trouble ?? '', { cause: error })
    }
    this.#set = wanted
    this.#trouble = undefined
  }

  async #areThere(signal: AbortSignal): Promise<boolean> {
    const { shell, facts } = this.#options
    // One by one: nft 1.0.6 does not find what the second of two questions is about.
    const questions = [
      `list chain bridge ${facts.table} prerouting`,
      `list chain inet ${facts.table} forward`,
    ]
    const answers = await Promise.allSettled(
      questions.map((question) => shell.read('nft', [question], signal)),
    )
    return answers.every(({ status }) => status === 'fulfilled')
  }

  async #remove(): Promise<void> {
    const { shell, facts, log } = this.#options
    try {
      await setRules(shell, removalScript(facts.table), new AbortController().signal)
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'the rules of isolation are left behind')
    }
  }

  #failed(error: unknown): void {
    const why = firstLine(errorMessage(error))
    const remedy = /nft: (command )?not found/.test(why)
      ? 'install nftables, or set options.network.isolation to Off'
      : 'see docs/network.md'
    const trouble = `Pods cannot be isolated: ${why} (${remedy})`
    if (trouble !== this.#trouble) this.#options.log.error({ error: errorMessage(error) }, trouble)
    this.#trouble = trouble
  }
}

// nft repeats the rule below its sentence, and marks the place.
function firstLine(text: string): string {
  return text.split('\n')[0] ?? text
}
