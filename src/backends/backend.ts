import type { Readable } from 'node:stream'
import type { Capabilities } from '../model/capability.ts'
import type {
  ClusterTrustBundle,
  ConfigMap,
  Pod,
  PodCertificateRequest,
  RuntimeClass,
  Secret,
} from '../model/kubernetes.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { SandboxChoice } from '../model/sandbox-choice.ts'
import type { SecurityProfile } from '../model/security-profile.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { BackendUsage, UsageOptions } from '../model/pod-usage.ts'
import type { Shortage } from '../model/shortage.ts'

/**
 * THE contract: where elastic containers run.
 *
 * Every method is required and idempotent by Pod UID. Rejections carry a `SpillwayError` whose code is one of
 * `NotFound | Rejected | Busy | Unavailable | Unsupported`, or the signal's reason when that was aborted.
 * Restart policy, probes, hooks and the order of init containers are the backend's duty. Everything a backend makes
 * is marked with cluster UID, instance and Pod UID; it lists and touches only what carries its own marks.
 * test/conformance/backend.ts runs against every implementation.
 */
export interface Backend {
  readonly name: string
  readonly kind: string

  /** What this backend can do. Static; read by admission and by `explain`. */
  capabilities(): Capabilities

  /** What it can hold in all, honestly: quota, stock, addresses. */
  capacity(signal: AbortSignal): Promise<BackendCapacity>

  /** Checks what it stands on (runtime, disk, network) for the Node's conditions. Never rejects: trouble is an answer. */
  health(signal: AbortSignal): Promise<BackendHealth>

  /**
   * Makes the Pod run, and takes it under supervision: containers restarted, probed, volumes kept fresh. Resolves when
   * accepted; what was reached is told by `watch`. Called again (after a restart of ours, or twice) it adopts what is
   * there. A Pod that began stopping is not started again: resolves without effect.
   * Rejected: the Pod can never run here. Busy: a sandbox of this UID is still being made or removed.
   */
  start(pod: Pod, sources: PodSources, signal: AbortSignal): Promise<void>

  /**
   * Takes over a changed Pod (image, resources, ephemeral containers, labels and annotations for the downward API).
   * NotFound: it was never started. Unsupported: names the field that cannot change here.
   */
  update(pod: Pod, signal: AbortSignal): Promise<void>

  /**
   * Ends the Pod: preStop hooks, SIGTERM, SIGKILL after the grace. Resolves when accepted; `stopped` comes by `watch`.
   * A second call may shorten the grace, never lengthen it. NotFound: nothing of that UID is here.
   */
  stop(uid: PodUid, options: StopOptions, signal: AbortSignal): Promise<void>

  /**
   * Removes the last traces: sandbox, containers, logs, volumes, exit facts. The only call that destroys evidence.
   * Resolves when gone, also if nothing was there. Busy: the Pod has not stopped.
   */
  forget(uid: PodUid, signal: AbortSignal): Promise<void>

  /** Every Pod of ours, stopped ones included. Complete, or rejects. */
  list(signal: AbortSignal): Promise<readonly PodObservation[]>

  /**
   * A snapshot, its end marker, then what changes. Ends only by error or by the signal; the caller begins anew.
   * Observations of one Pod come in order; intermediate ones may be left out, never the last.
   */
  watch(signal: AbortSignal): AsyncIterable<BackendEvent>

  /**
   * The container's log as plain bytes, in the way `kubectl logs` wants it. NotFound: no such container, or it has
   * not started. With `follow` the stream ends when the container does.
   */
  logs(uid: PodUid, container: string, options: LogOptions, signal: AbortSignal): Promise<Readable>

  /** Where to connect for an upgraded exec connection. NotFound: no such running container. */
  exec(uid: PodUid, container: string, options: ExecOptions, signal: AbortSignal): Promise<StreamTarget>
  attach(uid: PodUid, container: string, options: AttachOptions, signal: AbortSignal): Promise<StreamTarget>
  portForward(uid: PodUid, ports: readonly number[], signal: AbortSignal): Promise<StreamTarget>

  /** Runs a command in a container to its end. NotFound: no such running container. */
  run(uid: PodUid, container: string, command: readonly string[], signal: AbortSignal): Promise<CommandResult>

  /**
   * What all Pods of ours that run use, in one look: the nodes of a backend are asked one after the other, and a look
   * at each Pod alone would cost the most when there are the most. A look is kept for a moment, so whoever wants to
   * know may ask.
   */
  usage(options: UsageOptions, signal: AbortSignal): Promise<BackendUsage>

  /**
   * Gives back disk that no running Pod needs: images, what stopped Pods wrote. Asked for when the disk is short, before
   * a Pod has to go for it. Logs and exit facts stay. Resolves when no more can be given back, also if that was nothing.
   */
  reclaim(signal: AbortSignal): Promise<void>

  /** Frees connections and timers of this process. Pods go on. */
  close(): Promise<void>
}

export type BackendEvent =
  | { readonly kind: 'observed'; readonly pod: PodObservation }
  | { readonly kind: 'synced' }
  /** After `forget`, or because the runtime lost it: nothing of that UID is here any more. */
  | { readonly kind: 'gone'; readonly uid: PodUid }
  /** For the Pod's events: kubelet's reasons (`Pulling`, `Created`, `Unhealthy`, `BackOff`, …). */
  | { readonly kind: 'happened'; readonly uid: PodUid; readonly happening: PodHappening }

export interface PodHappening {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
  /** As in `spec.containers{web}`; absent when the whole Pod is meant. */
  readonly fieldPath?: string
}

export interface StopOptions {
  readonly graceSeconds: number
}

export interface LogOptions {
  readonly follow: boolean
  readonly previous: boolean
  readonly timestamps: boolean
  readonly tailLines?: number
  /** Lines written at or after this wall time. */
  readonly sinceMs?: number
  readonly limitBytes?: number
}

export interface ExecOptions {
  readonly command: readonly string[]
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

export type AttachOptions = Omit<ExecOptions, 'command'>

export interface CommandResult {
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly exitCode: number
}

/** An address whose upgraded connection is passed through byte for byte. */
export interface StreamTarget {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly tls?: { readonly ca: string }
}

export interface BackendCapacity {
  readonly cpuMillis: bigint
  readonly memoryBytes: bigint
  readonly ephemeralStorageBytes: bigint
  readonly pods: number
  /** Of whatever else there is, in whole units: `nvidia.com/gpu`. Left out: nothing. */
  readonly extended?: ReadonlyMap<string, bigint>
}

export interface BackendHealth {
  readonly runtime: HealthCheck
  readonly disk: HealthCheck
  readonly network: HealthCheck
  readonly memory: HealthCheck
  readonly pids: HealthCheck
  /** As in `containerd://2.4.2`. */
  readonly runtimeVersion: string
}

export interface HealthCheck {
  readonly ok: boolean
  /** CamelCase, for the condition's reason. */
  readonly reason: string
  readonly message: string
  /** Of a failed check: what there is too little of, so that a Pod may have to go. */
  readonly shortage?: Shortage
}

/**
 * A live reader of what a Pod refers to, under the rights of its node. Values are read when they are needed and
 * again when they change: an init container may make the Secret that a later container's environment needs.
 * Rejections: Unavailable (the API server does not answer), Forbidden.
 */
export interface PodSources {
  /** Undefined when it does not exist. */
  configMap(name: string, signal: AbortSignal): Promise<ConfigMap | undefined>
  secret(name: string, signal: AbortSignal): Promise<Secret | undefined>
  serviceAccountToken(request: TokenRequest, signal: AbortSignal): Promise<BoundToken>
  /** The variables of the namespace's Services and of `kubernetes.default`, as kubelet makes them. */
  serviceEnvironment(signal: AbortSignal): Promise<ReadonlyMap<string, string>>
  /** Undefined when it does not exist. */
  runtimeClass(name: string, signal: AbortSignal): Promise<RuntimeClass | undefined>
  /** All of the cluster. Unavailable when it serves none, or does not show them. */
  clusterTrustBundles(signal: AbortSignal): Promise<readonly ClusterTrustBundle[]>
  /** Asks a signer for a certificate of the Pod; answers the name of the PodCertificateRequest. */
  requestCertificate(wanted: WantedCertificate, signal: AbortSignal): Promise<string>
  /** A request of the Pod's as it stands; undefined when it is not to be seen, yet or any more. */
  certificateRequest(name: string, signal: AbortSignal): Promise<PodCertificateRequest | undefined>
  readonly node: NodeFacts
  /** Calls back when something that was read has changed. Returns the end of the subscription. */
  onChange(listener: () => void): () => void
}

export interface TokenRequest {
  /** Empty: the API server's own. */
  readonly audience: string
  readonly expirationSeconds: number
}

export interface WantedCertificate {
  readonly signerName: string
  /** PKCS #10 in DER: the public key, and the proof of having the private one. */
  readonly stubRequest: Uint8Array
  readonly maxExpirationSeconds?: number
  readonly userAnnotations?: Readonly<Record<string, string>>
}

export interface BoundToken {
  readonly token: string
  readonly expiresAtMs: number
}

/** What a Pod may ask about its node (downward API, resolv.conf, hostIP). */
export interface NodeFacts {
  readonly name: string
  readonly ips: readonly string[]
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  readonly allocatableCpuMillis: bigint
  readonly allocatableMemoryBytes: bigint
  /** Left out: a variable or file that asks for a container's unset ephemeral-storage limit reads 0. */
  readonly allocatableEphemeralStorageBytes?: bigint
  /** What its pool says of sandboxes; left out: nothing. */
  readonly sandbox?: SandboxChoice
  /** What its pool lets Pods have, for what comes to a Pod that is in already: an ephemeral container. */
  readonly security?: { readonly pool: string; readonly profile: SecurityProfile }
}
