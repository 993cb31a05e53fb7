import { fileURLToPath } from 'node:url'
import { credentials, loadPackageDefinition, type Client } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Clock } from '../../../model/clock.ts'
import type {
  ContainerConfig,
  ContainerEvent,
  ContainerItem,
  ContainerStatus,
  CriImage,
  ImageAuth,
  LinuxResources,
  RuntimeStatus,
  SandboxConfig,
  SandboxItem,
  SandboxStatus,
  StringMap,
} from './cri-types.ts'
import { cniInterfacesInInfo, type CniInterfaces } from './cni-interfaces.ts'
import { ContainerdSandboxes } from './containerd-sandboxes.ts'
import { ContainerdTasks, leftOverTask, type TaskSignal } from './containerd-tasks.ts'
import { criError } from './errors.ts'
import { unaryCall } from './unary-call.ts'
import type { FilesystemStats, PodSandboxStats } from '../usage/stats-types.ts'

const protoFile = fileURLToPath(new URL('../../../../proto/api.proto', import.meta.url))

type Service = 'RuntimeService' | 'ImageService'

export interface CriClientOptions {
  /** Path of the runtime's unix socket. */
  readonly socket: string
  readonly clock: Clock
}

/** kubelet's runtimeRequestTimeout; making a sandbox may take twice as long. */
const requestMs = 120_000
const sandboxMs = 2 * requestMs

/**
 * The Container Runtime Interface, version v1, over one HTTP/2 connection that heals itself. Every call rejects with a
 * `SpillwayError` of the backend's set, or with the signal's reason.
 */
export class CriClient {
  readonly #runtime: Client
  readonly #images: Client
  readonly #tasks: ContainerdTasks
  readonly #sandboxes: ContainerdSandboxes
  readonly #clock: Clock

  constructor({ socket, clock }: CriClientOptions) {
    const loaded = loadSync(protoFile, { longs: String, enums: String, defaults: true, oneofs: true })
    const { runtime } = loadPackageDefinition(loaded) as unknown as {
      runtime: { v1: Record<Service, new (address: string, creds: unknown, options: object) => Client> }
    }
    const options = {
      // ExecSync answers and complete lists exceed grpc-js' 4 MiB; kubelet allows 16 MiB.
      'grpc.max_receive_message_length': 16 * 1024 * 1024,
      // After a restart of the runtime: reconnect within a second, not after minutes of back-off.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.default_authority': 'localhost',
    }
    this.#clock = clock
    this.#runtime = new runtime.v1.RuntimeService(`unix:${socket}`, credentials.createInsecure(), options)
    this.#images = new runtime.v1.ImageService(`unix:${socket}`, credentials.createInsecure(), options)
    this.#tasks = new ContainerdTasks({ socket, clock })
    this.#sandboxes = new ContainerdSandboxes({ socket, clock })
  }

  close(): void {
    this.#runtime.close()
    this.#images.close()
    this.#tasks.close()
    this.#sandboxes.close()
  }

  version(signal: AbortSignal): Promise<{ runtimeName: string; runtimeVersion: string }> {
    return this.#call('Version', {}, signal, 10_000)
  }

  status(options: { readonly verbose: boolean }, signal: AbortSignal): Promise<RuntimeStatus> {
    return this.#call('Status', options, signal, 10_000)
  }

  async runSandbox(config: SandboxConfig, handler: string, signal: AbortSignal): Promise<string> {
    const request = { config, runtimeHandler: handler }
    return (await this.#call<{ podSandboxId: string }>('RunPodSandbox', request, signal, sandboxMs))
      .podSandboxId
  }

  /** Tells the runtime what the Pod as a whole is about to have. Unsupported: containerd before 2.3 has no such call. */
  async updateSandboxResources(
    podSandboxId: string,
    update: { readonly resources: LinuxResources; readonly overhead?: LinuxResources },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#call('UpdatePodSandboxResources', { podSandboxId, ...update }, signal)
  }

  async stopSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    await this.#call('StopPodSandbox', { podSandboxId }, signal)
  }

  /** By containerd's own service: for a sandbox whose processes are gone without the CRI's doing. */
  async removeTask(containerId: string, signal: AbortSignal): Promise<void> {
    await this.#tasks.remove(containerId, signal)
  }

  /** By containerd's own service. Rejects after ten seconds without an answer of the task's shim; `isTimeout` tells that. */
  async signalTask(number: TaskSignal, containerId: string, signal: AbortSignal): Promise<void> {
    await this.#tasks.send(number, containerId, signal)
  }

  async removeSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    await this.#removing('RemovePodSandbox', { podSandboxId }, signal)
  }

  async sandboxStatus(podSandboxId: string, signal: AbortSignal): Promise<SandboxStatus> {
    return (await this.#call<{ status: SandboxStatus }>('PodSandboxStatus', { podSandboxId }, signal)).status
  }

  /**
   * The interfaces that the CNI plugins made, or used, for a sandbox; none where the runtime does not tell. From containerd's
   * store where there is one: for the CRI's answer its shim asks runsc about the sandbox, which takes 60 ms.
   */
  async cniInterfaces(podSandboxId: string, signal: AbortSignal): Promise<CniInterfaces> {
    const kept = await this.#sandboxes.cniInterfaces(podSandboxId, signal).catch(() => undefined)
    signal.throwIfAborted()
    if (kept) return kept
    const request = { podSandboxId, verbose: true }
    return cniInterfacesInInfo(
      (await this.#call<{ info: StringMap }>('PodSandboxStatus', request, signal)).info,
    )
  }

  async listSandboxes(labelSelector: StringMap, signal: AbortSignal): Promise<readonly SandboxItem[]> {
    const request = { filter: { labelSelector } }
    return (await this.#call<{ items: SandboxItem[] }>('ListPodSandbox', request, signal)).items
  }

  async createContainer(
    podSandboxId: string,
    config: ContainerConfig,
    sandboxConfig: SandboxConfig,
    signal: AbortSignal,
  ): Promise<string> {
    const request = { podSandboxId, config, sandboxConfig }
    return (await this.#call<{ containerId: string }>('CreateContainer', request, signal)).containerId
  }

  async startContainer(containerId: string, signal: AbortSignal): Promise<void> {
    await this.#call('StartContainer', { containerId }, signal)
  }

  /** SIGTERM, then SIGKILL after the time-out; a later call with less shortens one that is under way. */
  async stopContainer(containerId: string, timeoutSeconds: number, signal: AbortSignal): Promise<void> {
    const request = { containerId, timeout: timeoutSeconds }
    await this.#call('StopContainer', request, signal, timeoutSeconds * 1000 + requestMs)
  }

  /** The container runs on. What is left out of the resources stays as it is. */
  async updateContainerResources(
    containerId: string,
    linux: LinuxResources,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#call('UpdateContainerResources', { containerId, linux }, signal)
  }

  async removeContainer(containerId: string, signal: AbortSignal): Promise<void> {
    await this.#removing('RemoveContainer', { containerId }, signal)
  }

  async containerStatus(containerId: string, signal: AbortSignal): Promise<ContainerStatus> {
    return (await this.#call<{ status: ContainerStatus }>('ContainerStatus', { containerId }, signal)).status
  }

  async listContainers(labelSelector: StringMap, signal: AbortSignal): Promise<readonly ContainerItem[]> {
    const request = { filter: { labelSelector } }
    return (await this.#call<{ containers: ContainerItem[] }>('ListContainers', request, signal)).containers
  }

  async reopenLog(containerId: string, signal: AbortSignal): Promise<void> {
    await this.#call('ReopenContainerLog', { containerId }, signal)
  }

  /** Runs a command to its end. Past the time-out (0: none) the runtime kills it and this rejects as Unavailable. */
  execSync(
    containerId: string,
    options: { readonly command: readonly string[]; readonly timeoutSeconds: number },
    signal: AbortSignal,
  ): Promise<{ stdout: Buffer; stderr: Buffer; exitCode: number }> {
    const { command, timeoutSeconds } = options
    const request = { containerId, cmd: command, timeout: timeoutSeconds }
    const timeoutMs = timeoutSeconds > 0 ? timeoutSeconds * 1000 + 10_000 : Infinity
    return this.#call('ExecSync', request, signal, timeoutMs)
  }

  /** Each of the three answers with the URL of the runtime's streaming server, good for one connection. */
  async streamingUrl(
    method: 'Exec' | 'Attach' | 'PortForward',
    request: object,
    signal: AbortSignal,
  ): Promise<string> {
    return (await this.#call<{ url: string }>(method, request, signal)).url
  }

  /** Of those that are ready, in one answer. */
  async listSandboxStats(labelSelector: StringMap, signal: AbortSignal): Promise<readonly PodSandboxStats[]> {
    const request = { filter: { labelSelector } }
    return (await this.#call<{ stats: PodSandboxStats[] }>('ListPodSandboxStats', request, signal, 10_000))
      .stats
  }

  async sandboxStats(podSandboxId: string, signal: AbortSignal): Promise<PodSandboxStats> {
    const request = { podSandboxId }
    return (await this.#call<{ stats: PodSandboxStats }>('PodSandboxStats', request, signal, 10_000)).stats
  }

  async imageFilesystems(signal: AbortSignal): Promise<readonly FilesystemStats[]> {
    return (await this.#call<{ imageFilesystems: FilesystemStats[] }>('ImageFsInfo', {}, signal, 10_000))
      .imageFilesystems
  }

  /** Undefined when the image is not here. */
  async imageStatus(image: string, signal: AbortSignal): Promise<CriImage | undefined> {
    const request = { image: { image } }
    return (await this.#call<{ image: CriImage | null }>('ImageStatus', request, signal)).image ?? undefined
  }

  async listImages(signal: AbortSignal): Promise<readonly CriImage[]> {
    return (await this.#call<{ images: CriImage[] }>('ListImages', {}, signal)).images
  }

  /** All its names too. Does nothing when it is not here. */
  async removeImage(image: string, signal: AbortSignal): Promise<void> {
    await this.#call('RemoveImage', { image: { image } }, signal)
  }

  /** As long as it takes: the runtime ends a pull without progress by itself. Answers with the image's id. */
  async pullImage(image: string, auth: ImageAuth | undefined, signal: AbortSignal): Promise<string> {
    const request = { image: { image }, ...(auth && { auth }) }
    const answer = await this.#call<{ imageRef: string }>('PullImage', request, signal, Infinity)
    return answer.imageRef
  }

  /** The runtime's events from now on (containerd replays the last minutes first). Ends when the connection does. */
  async *events(signal: AbortSignal): AsyncGenerator<ContainerEvent> {
    const open = (
      this.#runtime as unknown as {
        GetContainerEvents(request: object): AsyncIterable<ContainerEvent> & { cancel(): void }
      }
    ).GetContainerEvents.bind(this.#runtime)
    signal.throwIfAborted()
    const stream = open({})
    const cancel = (): void => stream.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      for await (const event of stream) yield event
    } catch (error) {
      signal.throwIfAborted()
      throw criError('GetContainerEvents', error)
    } finally {
      signal.removeEventListener('abort', cancel)
      stream.cancel()
    }
  }

  async #removing(method: string, request: object, signal: AbortSignal): Promise<void> {
    try {
      await this.#call(method, request, signal)
    } catch (error) {
      const containerId = leftOverTask(error)
      if (containerId === undefined) throw error
      await this.#tasks.end(containerId, signal)
      await this.#call(method, request, signal)
    }
  }

  #call<Answer>(
    method: string,
    request: object,
    signal: AbortSignal,
    timeoutMs = requestMs,
  ): Promise<Answer> {
    const client = method.includes('Image') ? this.#images : this.#runtime
    return unaryCall(client, { method, request, timeoutMs, clock: this.#clock }, signal)
  }
}
