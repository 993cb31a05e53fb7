import type { SeenContainer } from '../../../src/backends/cri/pod/observe.ts'
import type { CriClient } from '../../../src/backends/cri/runtime/client.ts'
import type {
  ContainerItem,
  ContainerStatus,
  RuntimeStatus,
  SandboxItem,
  SandboxStatus,
  StringMap,
} from '../../../src/backends/cri/runtime/cri-types.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import { createdAt } from './seen.ts'

type Exec = CriClient['execSync']

type Played = Pick<
  CriClient,
  | 'containerStatus'
  | 'execSync'
  | 'listContainers'
  | 'listSandboxes'
  | 'removeContainer'
  | 'removeSandbox'
  | 'sandboxStatus'
  | 'status'
  | 'stopContainer'
  | 'stopSandbox'
  | 'version'
>

/**
 * The runtime's side of looking at Pods and ending them, in memory. What a test puts in is there, ends when it is told
 * to, and whatever was changed or asked for can be read in its order. It makes nothing by itself.
 */
export class FakeRuntime implements Played {
  readonly sandboxes = new Map<string, SandboxStatus>()
  readonly containers = new Map<string, SeenContainer>()
  /** Everything but looks, as in `stop main 30`: containers by name, sandboxes by id. */
  readonly calls: string[] = []
  /** Runs before a call is carried out: may look around, hold it up or let it fail. */
  before: (call: string) => Promise<void> | void = () => undefined
  /** Runs before each answer to a look. */
  beforeLook: () => Promise<void> | void = () => undefined
  /** Runs when a list is made, and is on its way. */
  afterList: () => Promise<void> | void = () => undefined
  exec: Exec = () => Promise.reject(new Error('no exec here'))

  /** For whom it stands in. */
  get client(): CriClient {
    return this as unknown as CriClient
  }

  get running(): readonly SeenContainer[] {
    return [...this.containers.values()].filter(({ status }) => status.state === 'CONTAINER_RUNNING')
  }

  put(...things: readonly (SandboxStatus | SeenContainer)[]): void {
    for (const thing of things) {
      if ('status' in thing) this.containers.set(thing.status.id, thing)
      else this.sandboxes.set(thing.id, thing)
    }
  }

  /** It ends by itself. */
  end(id: string, how: Partial<ContainerStatus> = {}): void {
    const seen = this.#container(id)
    const status = { ...seen.status, state: 'CONTAINER_EXITED', finishedAt: createdAt, ...how } as const
    this.containers.set(id, { ...seen, status })
  }

  async stopContainer(id: string, timeoutSeconds: number, signal: AbortSignal): Promise<void> {
    await this.#call(`stop ${this.#nameOf(id)} ${timeoutSeconds}`, signal)
    if (this.#container(id).status.state === 'CONTAINER_RUNNING') this.end(id, { exitCode: 143 })
  }

  async removeContainer(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`remove ${this.#nameOf(id)}`, signal)
    this.containers.delete(id)
  }

  async stopSandbox(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`stop ${id}`, signal)
    const known = this.sandboxes.get(id)
    if (known) this.sandboxes.set(id, { ...known, state: 'SANDBOX_NOTREADY' })
  }

  async removeSandbox(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`remove ${id}`, signal)
    this.sandboxes.delete(id)
    for (const { sandboxId, status } of this.containers.values()) {
      if (sandboxId === id) this.containers.delete(status.id)
    }
  }

  readonly execSync: Exec = async (id, options, signal) => {
    await this.#call(`exec ${this.#nameOf(id)}: ${options.command.join(' ')}`, signal)
    return await this.exec(id, options, signal)
  }

  async sandboxStatus(id: string, signal: AbortSignal): Promise<SandboxStatus> {
    await this.#look(signal)
    const known = this.sandboxes.get(id)
    if (!known) throw new SpillwayError('NotFound', `no sandbox ${id}`)
    return known
  }

  async containerStatus(id: string, signal: AbortSignal): Promise<ContainerStatus> {
    await this.#look(signal)
    return this.#container(id).status
  }

  async listSandboxes(selector: StringMap, signal: AbortSignal): Promise<readonly SandboxItem[]> {
    await this.#look(signal)
    const items = [...this.sandboxes.values()].filter(({ labels }) => matches(labels, selector))
    await this.afterList()
    return items
  }

  async listContainers(selector: StringMap, signal: AbortSignal): Promise<readonly ContainerItem[]> {
    await this.#look(signal)
    const items = [...this.containers.values()]
      .filter(({ status }) => matches(status.labels, selector))
      .map(({ status, sandboxId }) => ({ ...status, podSandboxId: sandboxId }))
    await this.afterList()
    return items
  }

  async status(_options: object, signal: AbortSignal): Promise<RuntimeStatus> {
    await this.#look(signal)
    const conditions = ['RuntimeReady', 'NetworkReady'].map((type) => ({
      type,
      status: true,
      reason: '',
      message: '',
    }))
    return { status: { conditions }, info: {}, runtimeHandlers: [], features: null }
  }

  async version(signal: AbortSignal): Promise<{ runtimeName: string; runtimeVersion: string }> {
    await this.#look(signal)
    return { runtimeName: 'fake', runtimeVersion: '1.0.0' }
  }

  async #call(call: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.calls.push(call)
    await this.before(call)
  }

  async #look(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await this.beforeLook()
  }

  #nameOf(id: string): string {
    return this.containers.get(id)?.status.metadata.name ?? id
  }

  #container(id: string): SeenContainer {
    const known = this.containers.get(id)
    if (!known) throw new SpillwayError('NotFound', `no container ${id}`)
    return known
  }
}

function matches(labels: StringMap, selector: StringMap): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}
