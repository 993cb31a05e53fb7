import { mkdir } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { createKubeClient } from '../kube/client.ts'
import { explicitCredentials } from '../kube/credentials.ts'
import type { KubeApi } from '../kube/api.ts'
import { nodes } from '../kube/resources.ts'
import type { Clock } from '../model/clock.ts'
import type { Log } from '../telemetry/log.ts'
import { publishDns } from './cluster-services.ts'
import { clusterLayout, serverNodeName } from './cluster-layout.ts'
import type { CommandOptions } from './command.ts'
import type { BinaryName } from './components.ts'
import { adminCredentials, isComponentReady, whenPodsCanBeMade } from './control-plane.ts'
import { controlPlaneComponents, type ControlPlaneComponent } from './control-plane-programs.ts'
import { describeCluster, type EmbeddedCluster } from './embedded-cluster.ts'
import { prepareEmbeddedPrograms, type EmbeddedPrograms } from './embedded-programs.ts'
import { publishGvisor } from './gvisor/runtime-class.ts'
import { gvisorPrograms } from './gvisor/runtime-config.ts'
import { probeHttp, probeSocket } from './http-probe.ts'
import { cniConflist } from './node-configs.ts'
import { claimCluster, hasAppArmor, openNamespace, type WantedShape } from './open-cluster.ts'
import { publishAdmissionPolicies } from './admission-policies.ts'
import { publishDefinitions } from './definitions.ts'
import type { Program } from './process.ts'
import { RunningCluster } from './running-cluster.ts'
import { findWayOut } from './way-out.ts'
import { waitUntil } from './wait-until.ts'
import { writeJsonIfChanged } from './write-if-changed.ts'

export interface StartClusterOptions {
  readonly name: string
  readonly shape: WantedShape
  /** All that `embeddedBinaries` names, runc, and gVisor’s where they could be had. */
  readonly binaries: ReadonlyMap<BinaryName | 'runc', string>
  readonly command: CommandOptions
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
  /** Fills the registry; called once it answers. */
  readonly publishImages: (registryUrl: string, signal: AbortSignal) => Promise<void>
  /** Says what Spillway is started with, as the last component; left out, there is none. */
  readonly spillway?: (cluster: EmbeddedCluster) => Promise<SpillwayLaunch>
  /** Told when a phase begins. */
  readonly onPhase: (phase: StartPhase) => void
}

export interface SpillwayLaunch {
  readonly program: Program
  readonly workingDir: string
  /** Undefined for "not yet"; left out: not waited for. */
  readonly isReady?: (signal: AbortSignal) => Promise<true | undefined>
}

export const startPhases = ['namespaces', 'control plane', 'nodes and images', 'Spillway'] as const
export type StartPhase = (typeof startPhases)[number]

export interface StartedCluster {
  readonly cluster: EmbeddedCluster
  readonly running: RunningCluster
  /** Components that this call started; empty when all ran already. */
  readonly started: readonly string[]
}

/**
 * Starts what does not run of a cluster, new or not; resolves when it can take Pods. Rejects with Environment or Usage,
 * leaving what was started for a second call, or for `down`.
 */
export async function startCluster(
  options: StartClusterOptions,
  signal: AbortSignal,
): Promise<StartedCluster> {
  options.onPhase('namespaces')
  const claimed = await claimCluster(options.name, options.shape, options, signal)
  const file = await openNamespace(claimed, options, signal)
  const layout = clusterLayout(file.name, file.index)
  const cluster = describeCluster(layout, file.shape)
  await mkdir(cluster.spillwayDir, { recursive: true, mode: 0o700 })
  const running = new RunningCluster(file, options)
  const { registryUrl } = cluster
  const place = { layout, namespace: running.namespace, registryUrl }
  const withAppArmor = await hasAppArmor()
  const [prepared] = await Promise.all([
    prepareEmbeddedPrograms({
      layout,
      shape: file.shape,
      binaries: options.binaries,
      environment: options.command.environment,
      machine: { cores: cpus().length, memoryBytes: totalmem() },
      hasAppArmor: withAppArmor,
      nowMs: options.clock.wallMs(),
    }),
    // Before anybody reads what it writes: kubelet and Spillway look for name servers once.
    findWayOut(place, options.command, signal),
  ])
  const client = createKubeClient({
    credentials: explicitCredentials(await adminCredentials(prepared.plan)),
    userAgent: 'spillway (up)',
    clock: options.clock,
    log: options.log,
    random: options.random,
  })
  try {
    const start = new ClusterStart(options, running, cluster, prepared, client)
    const started = await start.run(signal)
    await running.setPhase('ready')
    return { cluster, running, started }
  } finally {
    await client.close()
  }
}

const readyTimeoutMs = 90_000

/** One run of `startCluster`: which component waits for which. */
class ClusterStart {
  readonly #options: StartClusterOptions
  readonly #running: RunningCluster
  readonly #cluster: EmbeddedCluster
  readonly #prepared: EmbeddedPrograms
  readonly #client: KubeApi
  readonly #started: string[] = []

  constructor(
    options: StartClusterOptions,
    running: RunningCluster,
    cluster: EmbeddedCluster,
    prepared: EmbeddedPrograms,
    client: KubeApi,
  ) {
    this.#options = options
    this.#running = running
    this.#cluster = cluster
    this.#prepared = prepared
    this.#client = client
  }

  async run(signal: AbortSignal): Promise<readonly string[]> {
    this.#options.onPhase('control plane')
    // The first failure ends the others' waiting, so that it is told at once.
    const failed = new AbortController()
    const both = AbortSignal.any([signal, failed.signal])
    const lanes = [this.#startContainers(both), this.#startControlPlane(both)].map(async (lane) => {
      try {
        await lane
      } catch (error) {
        failed.abort(error)
        throw error
      }
    })
    await Promise.allSettled(lanes)
    await Promise.all(lanes)
    await this.#startSpillway(signal)
    return this.#started
  }

  async #startControlPlane(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#launch('etcd', signal), this.#launch('kube-apiserver', signal)])
    await this.#whenReady('kube-apiserver', signal)
    this.#options.onPhase('nodes and images')
    await Promise.all([
      this.#launch('kube-controller-manager', signal),
      this.#launch('kube-scheduler', signal),
      this.#launch('kube-proxy', signal),
      this.#startServerNode(signal),
      this.#prepared.spillway.publish(this.#client, signal),
      publishAdmissionPolicies(this.#client, signal),
      publishDefinitions(this.#client, this.#options.clock, signal),
      this.#startDns(signal),
    ])
    await Promise.all(controlPlaneComponents.map((name) => this.#whenReady(name, signal)))
    await whenPodsCanBeMade(this.#client, this.#options.clock, signal)
  }

  async #startContainers(signal: AbortSignal): Promise<void> {
    const { virtualContainerd, registryUrl } = this.#cluster
    await Promise.all([
      this.#startContainerd('containerd-virtual', virtualContainerd.socket, signal),
      (async () => {
        await this.#launch('registry', signal)
        await this.#until(
          'registry',
          async () => (await probeHttp({ url: `${registryUrl}/v2/` }, signal)) === 200,
          signal,
        )
        await this.#options.publishImages(registryUrl, signal)
      })(),
    ])
  }

  async #startContainerd(name: string, socket: string, signal: AbortSignal): Promise<void> {
    await this.#launch(name, signal)
    await this.#until(name, () => probeSocket(socket), signal)
  }

  async #startServerNode(signal: AbortSignal): Promise<void> {
    if (this.#cluster.serverNode === undefined) return
    // Kubelet ends itself when nothing listens on its runtime's socket.
    await this.#startContainerd('containerd-server', this.#cluster.serverContainerd.socket, signal)
    await this.#launch('kubelet', signal)
    await this.#until('kubelet', (signal) => this.#isServerNodeReady(signal), signal)
    await this.#followPodRange(signal)
  }

  async #isServerNodeReady(signal: AbortSignal): Promise<boolean> {
    const node = await this.#client.get(nodes, { name: serverNodeName }, signal)
    const ready = node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
    // Until the node-lifecycle controller takes its taint away, nothing is scheduled there.
    return ready === true && (node.spec?.taints ?? []).length === 0 && node.spec?.podCIDR !== undefined
  }

  /**
   * The bridge has its range before the node is known, so that kubelet need not wait for it; the first node of a new
   * cluster is given just that range. Should it have been given another, the bridge follows.
   */
  async #followPodRange(signal: AbortSignal): Promise<void> {
    const containerd = this.#cluster.serverContainerd
    const node = await this.#client.get(nodes, { name: serverNodeName }, signal)
    const podNetwork = node.spec?.podCIDR ?? containerd.podNetwork
    if (podNetwork === containerd.podNetwork) return
    const conflist = cniConflist({ ...containerd, podNetwork })
    await writeJsonIfChanged(join(containerd.cniConfDir, '10-spillway.conflist'), conflist)
  }

  async #startDns(signal: AbortSignal): Promise<void> {
    await publishDns(this.#client, this.#cluster, signal)
    if (gvisorPrograms(this.#options.binaries)) await publishGvisor(this.#client, signal)
    await this.#launch('coredns', signal)
    const url = `http://${this.#cluster.nodeAddress}:8181/ready`
    await this.#until('coredns', async (signal) => (await probeHttp({ url }, signal)) === 200, signal)
  }

  async #startSpillway(signal: AbortSignal): Promise<void> {
    const { spillway } = this.#options
    if (spillway === undefined) return
    this.#options.onPhase('Spillway')
    const { program, workingDir, isReady } = await spillway(this.#cluster)
    await this.#launchProgram('spillway', program, workingDir, signal)
    if (isReady !== undefined) await this.#until('spillway', isReady, signal)
  }

  async #launch(name: string, signal: AbortSignal): Promise<void> {
    const program = this.#prepared.programs.get(name)
    if (program === undefined) throw new Error(`no program is prepared for ${name}`)
    await this.#launchProgram(name, program, this.#cluster.stateDir, signal)
  }

  async #launchProgram(
    name: string,
    program: Program,
    workingDir: string,
    signal: AbortSignal,
  ): Promise<void> {
    const logFile = join(this.#cluster.logsDir, `${name}.log`)
    const isNew = await this.#running.launch(name, { program, workingDir, logFile }, signal)
    if (isNew) this.#started.push(name)
  }

  async #whenReady(name: ControlPlaneComponent, signal: AbortSignal): Promise<void> {
    await this.#until(
      name,
      (signal) => isComponentReady(name, this.#prepared.plan, this.#client, signal),
      signal,
    )
  }

  async #until(
    component: string,
    check: (signal: AbortSignal) => Promise<boolean | undefined>,
    signal: AbortSignal,
  ): Promise<void> {
    await waitUntil(
      async (signal) => ((await check(signal)) === true ? true : undefined),
      {
        condition: `${component} is ready`,
        timeoutMs: readyTimeoutMs,
        clock: this.#options.clock,
        checkAlive: () => this.#running.checkAlive(component),
        details: () => this.#running.logTail(component),
      },
      signal,
    )
  }
}
