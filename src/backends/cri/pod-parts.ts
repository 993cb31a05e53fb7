import type { Container, Pod } from '../../model/kubernetes.ts'
import type { NodeFacts, PodSources } from '../backend.ts'

/**
 * What the loop of a Pod needs besides the runtime: its volumes, its environment, its files. Stated here by the loop;
 * implemented in `volumes/volumes.ts`, `environment.ts` and `pod-files.ts`; joined in `backend.ts`.
 */
export interface PodParts {
  readonly prepareVolumes: PrepareVolumes
  /** Removes the volumes of a Pod, mounts included. Resolves when gone, also if nothing was there. */
  readonly removeVolumes: (podDir: string) => Promise<void>
  readonly containerEnvironment: ContainerEnvironment
  readonly writePodFiles: WritePodFiles
  readonly dnsConfig: (pod: Pod, node: NodeFacts) => DnsConfig
  readonly podHostname: (pod: Pod) => string
}

export interface PodPartsInput {
  readonly pod: Pod
  /** The Pod's own directory on this machine; volumes live below it. */
  readonly podDir: string
  readonly sources: PodSources
}

/**
 * Makes or finds every volume of the Pod. Rejects with Unavailable and the reason `FailedMount` while something that is
 * not optional is missing; the loop tries again.
 */
export type PrepareVolumes = (input: PodPartsInput, signal: AbortSignal) => Promise<PreparedVolumes>

export interface PreparedVolumes {
  /** The mounts of `container.volumeMounts`, made ready (subPath directories and the like). */
  mountsFor(container: Container, signal: AbortSignal): Promise<readonly CriMount[]>
  /** Reads what changed and swaps it in; `pod` carries newer labels and annotations. */
  refresh(pod: Pod, signal: AbortSignal): Promise<void>
}

export interface CriMount {
  readonly containerPath: string
  readonly hostPath: string
  readonly readonly: boolean
  readonly propagation: 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER' | 'PROPAGATION_BIDIRECTIONAL'
}

export interface EnvironmentInput {
  readonly pod: Pod
  readonly container: Container
  readonly podIps: readonly string[]
  readonly sources: PodSources
}

/** Rejects with the reason `CreateContainerConfigError` while a referred key is missing. */
export type ContainerEnvironment = (
  input: EnvironmentInput,
  signal: AbortSignal,
) => Promise<readonly { readonly key: string; readonly value: string }[]>

export type WritePodFiles = (
  input: PodPartsInput & { readonly podIps: readonly string[] },
) => Promise<{ /** Path on this machine, mounted at /etc/hosts. */ readonly etcHosts: string }>

export interface DnsConfig {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}
