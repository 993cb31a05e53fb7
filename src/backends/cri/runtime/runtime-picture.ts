import { hasCode } from '../../../model/errors.ts'
import type { CriClient } from './client.ts'
import type {
  ContainerItem,
  ContainerStateName,
  ContainerStatus,
  SandboxItem,
  SandboxStatus,
} from './cri-types.ts'
import type { CpuMemory } from '../resources/linux-resources.ts'
import { currentSandbox, type RuntimeView, type SeenContainer } from '../pod/observe.ts'

const ranks: Readonly<Record<ContainerStateName, number>> = {
  CONTAINER_CREATED: 0,
  CONTAINER_RUNNING: 1,
  CONTAINER_UNKNOWN: 1,
  CONTAINER_EXITED: 2,
}

/**
 * What the runtime has of one Pod, kept up to date by asking for the one thing that changed: own calls, events and the
 * slow relist say where to look. Never by applying an event's content, since containerd replays old ones.
 */
export class RuntimePicture implements RuntimeView {
  readonly #client: CriClient
  readonly #messageOf: (status: ContainerStatus, signal: AbortSignal) => Promise<string>
  readonly #sandboxes = new Map<string, SandboxStatus>()
  readonly #containers = new Map<string, SeenContainer>()
  /** Containers that are known whether the runtime has them or not. */
  readonly #remembered = new Set<string>()
  /** Of those, the ones that it has no more. */
  readonly #removed = new Set<string>()
  #podCgroup: CpuMemory | undefined

  constructor(
    client: CriClient,
    messageOf: (status: ContainerStatus, signal: AbortSignal) => Promise<string>,
  ) {
    this.#client = client
    this.#messageOf = messageOf
  }

  get sandboxes(): readonly SandboxStatus[] {
    return [...this.#sandboxes.values()]
  }

  get containers(): readonly SeenContainer[] {
    return [...this.#containers.values()]
  }

  get current(): SandboxStatus | undefined {
    return currentSandbox(this.sandboxes)
  }

  get running(): readonly SeenContainer[] {
    return this.containers.filter(({ status }) => ranks[status.state] === 1)
  }

  get podCgroup(): CpuMemory | undefined {
    return this.#podCgroup
  }

  /** The Pod's own cgroup is not the runtime's: whoever makes, reads or changes it says so. */
  sawPodCgroup(limits: CpuMemory): void {
    this.#podCgroup = limits
  }

  get empty(): boolean {
    return this.#sandboxes.size === 0 && this.#containers.size === 0
  }

  /** These stay in the picture for good, whether the runtime has them or not. */
  remember(containers: readonly SeenContainer[]): void {
    for (const seen of containers) {
      this.#containers.set(seen.status.id, seen)
      this.#remembered.add(seen.status.id)
    }
  }

  isRemembered({ status }: SeenContainer): boolean {
    return this.#remembered.has(status.id)
  }

  /** Containers that the runtime has, or may have. */
  get kept(): readonly SeenContainer[] {
    return this.containers.filter(({ status }) => !this.#removed.has(status.id))
  }

  async lookAtSandbox(id: string, signal: AbortSignal): Promise<void> {
    try {
      const status = await this.#client.sandboxStatus(id, signal)
      const known = this.#sandboxes.get(id)
      // Answers may overtake each other, and a sandbox never becomes ready again. Its addresses are lost with it.
      if (known?.state === 'SANDBOX_NOTREADY' && status.state === 'SANDBOX_READY') return
      const network = status.network?.ip ? status.network : (known?.network ?? status.network)
      this.#sandboxes.set(id, { ...status, network })
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
      this.#sandboxes.delete(id)
    }
  }

  async lookAtContainer(id: string, sandboxId: string, signal: AbortSignal): Promise<void> {
    if (this.#remembered.has(id)) return
    try {
      const status = await this.#client.containerStatus(id, signal)
      const known = this.#containers.get(id)
      if (known && ranks[known.status.state] > ranks[status.state]) return
      const ended = status.state === 'CONTAINER_EXITED'
      const message = ended ? (known?.message ?? (await this.#messageOf(status, signal))) : ''
      this.#containers.set(id, { status, sandboxId, ...(message !== '' && { message }) })
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
      this.#containers.delete(id)
    }
  }

  /** Looks at whichever of the two it is; false when the id is not known here. */
  async lookAt(id: string, signal: AbortSignal): Promise<boolean> {
    const container = this.#containers.get(id)
    if (container) await this.lookAtContainer(id, container.sandboxId, signal)
    else if (this.#sandboxes.has(id)) await this.lookAtSandbox(id, signal)
    else return false
    return true
  }

  /** Takes over a complete list: looks at what is new, differs or is missing. Answers whether there was any. */
  async reconcile(
    sandboxes: readonly SandboxItem[],
    containers: readonly ContainerItem[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const newer = [
      ...sandboxes
        .filter(({ id, state }) => this.#sandboxes.get(id)?.state !== state)
        .map(({ id }) => this.lookAtSandbox(id, signal)),
      ...containers
        .filter(({ id, state }) => this.#containers.get(id)?.status.state !== state)
        .map(({ id, podSandboxId }) => this.lookAtContainer(id, podSandboxId, signal)),
    ]
    const listed = new Set([...sandboxes, ...containers].map(({ id }) => id))
    // Not dropped for being missing: it may have been made after the list was. The runtime knows.
    const missing = [...this.#sandboxes.keys(), ...this.#containers.keys()].filter(
      (id) => !listed.has(id) && !this.#remembered.has(id),
    )
    await Promise.all([...newer, ...missing.map((id) => this.lookAt(id, signal))])
    return newer.length + missing.length > 0
  }

  /** The runtime has it no more. */
  drop(id: string): void {
    if (this.#remembered.has(id)) {
      this.#removed.add(id)
      return
    }
    this.#sandboxes.delete(id)
    this.#containers.delete(id)
  }
}
