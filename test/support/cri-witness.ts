import { CriClient } from '../../src/backends/cri/runtime/client.ts'
import type {
  ContainerEvent,
  ContainerStatus,
  SandboxItem,
} from '../../src/backends/cri/runtime/cri-types.ts'
import { systemClock } from '../../src/model/clock.ts'

/** All that containerd was seen to have of one Pod, also what it has forgotten since. */
export interface WitnessedPod {
  /** The latest attempt last. */
  readonly sandboxes: readonly WitnessedSandbox[]
  readonly containers: readonly WitnessedContainer[]
}

export interface WitnessedSandbox {
  readonly id: string
  /** Far below 0 of one that was never made whole: containerd tells Go's zero time. */
  readonly createdMs: number
}

export interface WitnessedContainer {
  readonly id: string
  readonly name: string
  readonly attempt: number
  /** CRI's word for it, as last seen. */
  readonly state: string
  /** Undefined when it never ran. */
  readonly startedMs: number | undefined
  readonly finishedMs: number | undefined
  readonly exitCode: number
  /** Why it ended, in containerd's words; empty when it ended by itself. */
  readonly message: string
}

const podUid = 'io.kubernetes.pod.uid'
const podNamespace = 'io.kubernetes.pod.namespace'

/**
 * Follows containerd beside Spillway, over a connection of its own, and remembers: who ran, how often, from when to
 * when. Lists show what lives; the events' statuses show the end of what is removed right after it.
 */
export class CriWitness {
  readonly #client: CriClient
  readonly #end = new AbortController()
  readonly #following: Promise<unknown>
  readonly #sandboxes = new Map<string, SandboxItem>()
  readonly #containers = new Map<string, ContainerStatus>()

  constructor(socket: string) {
    this.#client = new CriClient({ socket, clock: systemClock })
    this.#following = Promise.all([
      this.#again(async (signal) => {
        for await (const event of this.#client.events(signal)) this.#heard(event)
      }),
      this.#again((signal) => this.#look(signal)),
    ])
  }

  of(uid: string | undefined): WitnessedPod {
    const sandboxes = [...this.#sandboxes.values()]
      .filter(({ labels }) => labels[podUid] === uid)
      .sort((a, b) => a.metadata.attempt - b.metadata.attempt)
    const containers = [...this.#containers.values()].filter(({ labels }) => labels[podUid] === uid)
    return {
      sandboxes: sandboxes.map(({ id, createdAt }) => ({ id, createdMs: wholeMs(createdAt) })),
      containers: containers.map(({ id, metadata, state, startedAt, finishedAt, exitCode, message }) => ({
        id,
        name: metadata.name,
        attempt: metadata.attempt,
        state,
        startedMs: startedAt === '0' ? undefined : wholeMs(startedAt),
        finishedMs: finishedAt === '0' ? undefined : wholeMs(finishedAt),
        exitCode,
        message,
      })),
    }
  }

  /** UIDs of the namespace's Pods that containerd has sandboxes of, asked for now; one entry a sandbox. */
  async present(namespace: string, only: { readonly ready: boolean } = { ready: false }): Promise<string[]> {
    const sandboxes = await this.#client.listSandboxes({ [podNamespace]: namespace }, this.#end.signal)
    return sandboxes
      .filter(({ state }) => state === 'SANDBOX_READY' || !only.ready)
      .map(({ labels }) => labels[podUid] ?? '')
  }

  /** Ids of the Pod's containers that containerd has, asked for now. */
  async listed(uid: string): Promise<string[]> {
    const containers = await this.#client.listContainers({ [podUid]: uid }, this.#end.signal)
    return containers.map(({ id }) => id)
  }

  async close(): Promise<void> {
    this.#end.abort()
    await this.#following
    this.#client.close()
  }

  #heard(event: ContainerEvent): void {
    const { containersStatuses = [] } = event as { containersStatuses?: readonly ContainerStatus[] }
    for (const status of containersStatuses) this.#seen(status)
    if (event.podSandboxStatus) this.#seenSandbox(event.podSandboxStatus)
  }

  async #look(signal: AbortSignal): Promise<void> {
    const [sandboxes, containers] = await Promise.all([
      this.#client.listSandboxes({}, signal),
      this.#client.listContainers({}, signal),
    ])
    for (const sandbox of sandboxes) this.#seenSandbox(sandbox)
    const changed = containers.filter(({ id, state }) => this.#containers.get(id)?.state !== state)
    const looks = changed.map(async ({ id }) => this.#seen(await this.#client.containerStatus(id, signal)))
    // One that is removed meanwhile must not hide the others.
    await Promise.allSettled(looks)
  }

  /** Lists and events may overtake each other; one in the making has no time of creation yet. */
  #seenSandbox(sandbox: SandboxItem): void {
    if (wholeMs(sandbox.createdAt) > 0 || !this.#sandboxes.has(sandbox.id)) {
      this.#sandboxes.set(sandbox.id, sandbox)
    }
  }

  /** An end is final: containerd replays old events after a pause. */
  #seen(status: ContainerStatus): void {
    if (this.#containers.get(status.id)?.state !== 'CONTAINER_EXITED') this.#containers.set(status.id, status)
  }

  /** Until the end, also while containerd is down. */
  async #again(action: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#end
    while (!signal.aborted) {
      await action(signal).catch(() => undefined)
      await systemClock.sleep(100, signal).catch(() => undefined)
    }
  }
}

/** From nanoseconds, cut. */
function wholeMs(nanos: string): number {
  return Number(BigInt(nanos) / 1_000_000n)
}
