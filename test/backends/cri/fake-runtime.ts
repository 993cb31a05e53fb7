import type { SeenContainer } from '../../../src/backends/cri/pod/observe.ts'
import type { CriClient } from '../../../src/backends/cri/runtime/client.ts'
import type { TaskSignal } from '../../../src/backends/cri/runtime/containerd-tasks.ts'
import type {
  ContainerConfig,
  ContainerItem,
  ContainerStatus,
  CriImage,
  ImageAuth,
  RuntimeHandler,
  RuntimeStatus,
  SandboxConfig,
  SandboxItem,
  SandboxStatus,
  StringMap,
} from '../../../src/backends/cri/runtime/cri-types.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import { attempt, createdAt, sandbox } from './seen.ts'

type Exec = CriClient['execSync']

type Played = Pick<
  CriClient,
  | 'containerStatus'
  | 'createContainer'
  | 'execSync'
  | 'imageStatus'
  | 'listContainers'
  | 'listImages'
  | 'listSandboxes'
  | 'pullImage'
  | 'removeContainer'
  | 'removeImage'
  | 'removeSandbox'
  | 'removeTask'
  | 'reopenLog'
  | 'runSandbox'
  | 'sandboxStatus'
  | 'signalTask'
  | 'startContainer'
  | 'status'
  | 'stopContainer'
  | 'stopSandbox'
  | 'version'
>

/** For images that are here without a pull. */
export function anImage(id: string, ...repoTags: readonly string[]): CriImage {
  return { id, repoTags, repoDigests: [], size: '1000', uid: null, username: '', pinned: false }
}

/**
 * The runtime, in memory. What a test puts in, or has it make, is there and ends when it is told to; whatever was changed
 * or asked for can be read in its order. As containerd does, it makes nothing under a name that is taken.
 */
export class FakeRuntime implements Played {
  readonly sandboxes = new Map<string, SandboxStatus>()
  readonly containers = new Map<string, SeenContainer>()
  /** By the name that it is asked for, in full. */
  readonly images = new Map<string, CriImage>()
  /** What it was asked to make, in order. */
  readonly sandboxConfigs: SandboxConfig[] = []
  readonly containerConfigs: ContainerConfig[] = []
  /** Of the pulls, in order. */
  readonly logins: (ImageAuth | undefined)[] = []
  handlers: readonly RuntimeHandler[] = [{ name: 'runsc', features: null }]
  /** Everything but looks, as in `stop main 30`: containers by name, sandboxes by id. */
  readonly calls: string[] = []
  /** Runs before a call is carried out: may look around, hold it up or let it fail. */
  before: (call: string) => Promise<void> | void = () => undefined
  /** Runs when a call was carried out, and the answer is on its way. */
  after: (call: string) => Promise<void> | void = () => undefined
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

  async runSandbox(config: SandboxConfig, _handler: string, signal: AbortSignal): Promise<string> {
    const { metadata, labels, annotations } = config
    const made = sandbox(metadata.attempt, { metadata, labels, annotations })
    return await this.#call(`run ${made.id}`, signal, () => {
      refuseTaken(this.sandboxes.has(made.id), made.id)
      this.sandboxConfigs.push(config)
      this.sandboxes.set(made.id, made)
      return made.id
    })
  }

  async createContainer(
    sandboxId: string,
    config: ContainerConfig,
    _sandboxConfig: SandboxConfig,
    signal: AbortSignal,
  ): Promise<string> {
    const { metadata, labels, annotations } = config
    const id = `${metadata.name}-${metadata.attempt}`
    return await this.#call(`create ${id}`, signal, () => {
      refuseTaken(this.containers.has(id), id)
      this.containerConfigs.push(config)
      const image = { image: config.image.image, userSpecifiedImage: config.image.userSpecifiedImage }
      const own = { id, metadata, labels, annotations, image, logPath: config.logPath }
      const status = { ...own, state: 'CONTAINER_CREATED', startedAt: '0' } as const
      this.containers.set(id, attempt(metadata.attempt, status, { sandboxId }))
      return id
    })
  }

  async startContainer(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`start ${id}`, signal, () => {
      const seen = this.#container(id)
      const status = { ...seen.status, state: 'CONTAINER_RUNNING', startedAt: createdAt } as const
      this.containers.set(id, { ...seen, status })
    })
  }

  async reopenLog(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`reopen ${id}`, signal)
  }

  async imageStatus(image: string, signal: AbortSignal): Promise<CriImage | undefined> {
    await this.#look(signal)
    return this.images.get(image)
  }

  async listImages(signal: AbortSignal): Promise<readonly CriImage[]> {
    await this.#look(signal)
    return [...this.images.values()]
  }

  async pullImage(image: string, auth: ImageAuth | undefined, signal: AbortSignal): Promise<string> {
    return await this.#call(`pull ${image}`, signal, () => {
      this.logins.push(auth)
      const pulled = this.images.get(image) ?? anImage(`sha256:${image}`, image)
      this.images.set(image, pulled)
      return pulled.id
    })
  }

  async removeImage(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`remove ${id}`, signal, () => {
      for (const [name, image] of this.images) if (image.id === id) this.images.delete(name)
    })
  }

  async stopContainer(id: string, timeoutSeconds: number, signal: AbortSignal): Promise<void> {
    await this.#call(`stop ${this.#nameOf(id)} ${timeoutSeconds}`, signal, () => {
      if (this.#container(id).status.state === 'CONTAINER_RUNNING') this.end(id, { exitCode: 143 })
    })
  }

  async removeContainer(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`remove ${this.#nameOf(id)}`, signal, () => void this.containers.delete(id))
  }

  async stopSandbox(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`stop ${id}`, signal, () => {
      const known = this.sandboxes.get(id)
      if (known) this.sandboxes.set(id, { ...known, state: 'SANDBOX_NOTREADY' })
    })
  }

  async signalTask(number: TaskSignal, id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`signal ${number} to task of ${id}`, signal)
  }

  async removeTask(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`remove task of ${id}`, signal)
  }

  async removeSandbox(id: string, signal: AbortSignal): Promise<void> {
    await this.#call(`remove ${id}`, signal, () => {
      this.sandboxes.delete(id)
      for (const { sandboxId, status } of this.containers.values()) {
        if (sandboxId === id) this.containers.delete(status.id)
      }
    })
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
    const runtimes = {
      runsc: { runtimeType: 'io.containerd.runsc.v1' },
      runc: { runtimeType: 'io.containerd.runc.v2' },
    }
    const info = { config: JSON.stringify({ containerd: { defaultRuntimeName: 'runc', runtimes } }) }
    return { status: { conditions }, info, runtimeHandlers: this.handlers, features: null }
  }

  async version(signal: AbortSignal): Promise<{ runtimeName: string; runtimeVersion: string }> {
    await this.#look(signal)
    return { runtimeName: 'fake', runtimeVersion: '1.0.0' }
  }

  async #call(call: string, signal: AbortSignal): Promise<void>
  async #call<T>(call: string, signal: AbortSignal, carryOut: () => T): Promise<T>
  async #call(call: string, signal: AbortSignal, carryOut?: () => unknown): Promise<unknown> {
    signal.throwIfAborted()
    this.calls.push(call)
    await this.before(call)
    const answer = carryOut?.()
    await this.after(call)
    return answer
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

/** containerd's sentence, as `criError` passes it on. */
function refuseTaken(isTaken: boolean, id: string): void {
  if (isTaken) throw new SpillwayError('Busy', `name "${id}" is reserved for "${id}"`, { afterMs: 250 })
}

function matches(labels: StringMap, selector: StringMap): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}
