import { SpillwayError } from '../model/errors.ts'
import type { Clock } from '../model/clock.ts'
import { writeClusterFile, type ClusterFile, type ComponentRecord } from './cluster-file.ts'
import type { CommandOptions, CommandResult } from './command.ts'
import { runInside, startInside, type ClusterNamespace } from './namespace.ts'
import { isRunning, logTail, signalProcess, stopProcess, type Program } from './process.ts'

/**
 * The components of one cluster, by name: starts them, ends them, knows which run. Keeps `cluster.json` true; one
 * process at a time may use it for a cluster (see machine-lock.ts).
 */
export class RunningCluster {
  readonly namespace: ClusterNamespace
  readonly #command: CommandOptions
  readonly #clock: Clock
  #file: ClusterFile

  constructor(
    file: ClusterFile & { readonly namespace?: ClusterNamespace },
    options: { readonly command: CommandOptions; readonly clock: Clock },
  ) {
    if (file.namespace === undefined) {
      throw new SpillwayError(
        'Environment',
        `cluster "${file.name}" is half made: run "npm run down -- --name ${file.name}".`,
      )
    }
    this.namespace = file.namespace
    this.#file = file
    this.#command = options.command
    this.#clock = options.clock
  }

  get file(): ClusterFile {
    return this.#file
  }

  /** Of all that were ever started and not forgotten. */
  get componentNames(): readonly string[] {
    return Object.keys(this.#file.components)
  }

  async setPhase(phase: ClusterFile['phase']): Promise<void> {
    await this.#write({ ...this.#file, phase })
  }

  /** Starts a component that is not running; its command line is remembered for later starts. False: it runs already. */
  async launch(
    name: string,
    component: { readonly program: Program; readonly workingDir: string; readonly logFile: string },
    signal: AbortSignal,
  ): Promise<boolean> {
    if (await this.isComponentRunning(name)) return false
    const { process: _gone, ...earlier } = this.#file.components[name] ?? {}
    await this.#setComponent(name, { ...earlier, ...component })
    const process = await startInside(this.namespace, component.program, component, signal)
    await this.#setComponent(name, { ...component, process })
    return true
  }

  /** Starts it as it was started before. Rejects with NotFound when it never was. */
  async startComponent(name: string, signal: AbortSignal): Promise<void> {
    await this.launch(name, this.#component(name), signal)
  }

  /** Ends it; resolves when it is gone. `graceMs` 0, the default, kills. */
  async killComponent(name: string, signal: AbortSignal, graceMs = 0): Promise<void> {
    const { process } = this.#component(name)
    if (process !== undefined) await stopProcess(process, { graceMs, clock: this.#clock }, signal)
  }

  /** Such as SIGSTOP: it hangs, and its connections stay open. Rejects with NotFound when it does not run. */
  async signalComponent(name: string, signalName: NodeJS.Signals): Promise<void> {
    const { process } = this.#component(name)
    if (process === undefined || !(await signalProcess(process, signalName))) {
      throw new SpillwayError('NotFound', `${name} does not run`)
    }
  }

  async isComponentRunning(name: string): Promise<boolean> {
    const process = this.#file.components[name]?.process
    return process !== undefined && (await isRunning(process))
  }

  /** Rejects with Environment, with the end of its log, when the component has ended. */
  async checkAlive(name: string): Promise<void> {
    if (await this.isComponentRunning(name)) return
    throw new SpillwayError('Environment', `${name} ended by itself:\n${await this.logTail(name)}`)
  }

  async logTail(name: string): Promise<string> {
    const component = this.#file.components[name]
    return component === undefined ? '' : logTail(component.logFile)
  }

  /** Pid as seen from the host, or undefined when it does not run. */
  async componentPid(name: string): Promise<number | undefined> {
    return (await this.isComponentRunning(name)) ? this.#file.components[name]?.process?.pid : undefined
  }

  /** Runs a program in the cluster's namespaces to its end; any exit code is an answer. */
  async exec(argv: readonly string[], signal: AbortSignal): Promise<CommandResult> {
    return runInside(this.namespace, argv, this.#command, signal)
  }

  #component(name: string): ComponentRecord {
    const component = this.#file.components[name]
    if (component !== undefined) return component
    const known = this.componentNames.join(', ')
    throw new SpillwayError(
      'NotFound',
      `cluster "${this.#file.name}" has no component "${name}" (has: ${known})`,
    )
  }

  async #setComponent(name: string, component: ComponentRecord): Promise<void> {
    await this.#write({ ...this.#file, components: { ...this.#file.components, [name]: component } })
  }

  #writing: Promise<void> = Promise.resolve()

  // One after the other: components start in parallel and share the file.
  async #write(file: ClusterFile): Promise<void> {
    this.#file = file
    this.#writing = this.#writing.then(() => writeClusterFile(this.#file))
    await this.#writing
  }
}
