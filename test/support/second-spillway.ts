import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { askAdmin } from '../../src/cli/admin-client.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import type { JourneyApp } from './journey-app.ts'
import { until } from './until.ts'

/**
 * `spillway run` in a process that can be stopped and killed: of the cluster and the ledger of a journey, with a folder
 * and ports of its own, as on another machine.
 */
export class SecondSpillway {
  readonly #child: ChildProcess
  readonly #socket: string
  #told = ''

  private constructor(child: ChildProcess, socket: string) {
    this.#child = child
    this.#socket = socket
    for (const output of [child.stdout, child.stderr]) {
      output?.setEncoding('utf8').on('data', (text: string) => (this.#told += text))
    }
  }

  static async begin(name: string, { folder, configFile }: JourneyApp): Promise<SecondSpillway> {
    const own = join(folder, name)
    mkdirSync(own, { recursive: true })
    const config = parse(readFileSync(configFile, 'utf8')) as { readonly nodeApi: object }
    const [firstPort, port] = await findFreePorts(2)
    const file = join(own, 'spillway.yaml')
    const nodeApi = { ...config.nodeApi, firstPort }
    writeFileSync(file, stringify({ ...config, state: own, run: own, nodeApi, admissionWebhook: { port } }))
    const program = join(import.meta.dirname, '../../bin/spillway.mjs')
    const args = [program, 'run', '--config', file]
    return new SecondSpillway(
      spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] }),
      join(own, 'admin.sock'),
    )
  }

  /** All that it has written. */
  get told(): string {
    return this.#told
  }

  /** True once it answers; false: it has ended before it did. */
  async comesUp(signal: AbortSignal): Promise<boolean> {
    let answers = false
    const look = async (): Promise<boolean> => {
      try {
        await askAdmin({ target: this.#socket }, '/v1/status', {}, signal)
        answers = true
      } catch {
        answers = false
      }
      return answers || this.#hasEnded
    }
    await until('it answers, or ends', look, signal)
    return answers
  }

  /** Once it has ended by itself. */
  async exitCode(signal: AbortSignal): Promise<number | null> {
    await until('it ends', () => Promise.resolve(this.#hasEnded), signal)
    return this.#child.exitCode
  }

  send(what: NodeJS.Signals): void {
    this.#child.kill(what)
  }

  async kill(signal: AbortSignal): Promise<void> {
    this.send('SIGKILL')
    await until('it is dead', () => Promise.resolve(this.#hasEnded), signal)
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }
}
