import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { KubeApi } from '../kube/api.ts'
import { createKubeClient } from '../kube/client.ts'
import { explicitCredentials, type ExplicitCredentials } from '../kube/credentials.ts'
import { serviceAccounts } from '../kube/resources.ts'
import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { BinaryName } from './components.ts'
import { openControlPlanePki, type ControlPlanePki } from './control-plane-pki.ts'
import {
  controlPlaneComponents,
  controlPlaneProgram,
  type ControlPlaneComponent,
  type ControlPlanePlan,
} from './control-plane-programs.ts'
import { findFreePorts } from './free-ports.ts'
import { probeHttp } from './http-probe.ts'
import {
  isRunning,
  logTail,
  signalProcess,
  startProcess,
  stopProcess,
  type ProcessRecord,
} from './process.ts'
import { createSpillwayIdentity, type SpillwayIdentity } from './spillway-identity.ts'
import { waitUntil } from './wait-until.ts'

export interface ControlPlaneOptions {
  /** Paths of etcd, kube-apiserver, kube-controller-manager and kube-scheduler. */
  readonly binaries: ReadonlyMap<BinaryName, string>
  /** Everything goes there: data, logs, certificates, kubeconfig. Belongs to this control plane alone. */
  readonly stateDir: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
  /** Virtual nodes to make certificates for. */
  readonly virtualNodes?: readonly string[]
  readonly extraArguments?: Partial<Readonly<Record<ControlPlaneComponent, readonly string[]>>>
}

/**
 * A real control plane on loopback that needs no root: for journeys and the simulated demo. It ends with the process
 * that started it.
 */
export interface ControlPlane {
  readonly stateDir: string
  /** Of an administrator. */
  readonly kubeconfig: string
  /** As in `https://127.0.0.1:40123`. */
  readonly server: string
  /** The administrator, for a client of one's own. */
  readonly admin: ExplicitCredentials
  /** Certificates of Spillway and of its nodes, as in the embedded cluster. */
  readonly spillway: SpillwayIdentity
  /** Where the component's output goes. */
  logFile(component: ControlPlaneComponent): string
  /** Ends it at once and for good, until `startComponent`. Resolves when it is gone. */
  killComponent(component: ControlPlaneComponent, signal: AbortSignal): Promise<void>
  /** SIGSTOP or SIGCONT: it hangs without its connections being closed. */
  signalComponent(component: ControlPlaneComponent, name: NodeJS.Signals): Promise<void>
  /** Starts it where it was, with the same data and port; resolves when it is ready. Nothing happens if it runs. */
  startComponent(component: ControlPlaneComponent, signal: AbortSignal): Promise<void>
  /** Ends all of it. The folder stays. */
  stop(signal: AbortSignal): Promise<void>
}

/** Starts a control plane; resolves when every component is ready. Rejects with Environment, having ended it all. */
export async function startControlPlane(
  options: ControlPlaneOptions,
  signal: AbortSignal,
): Promise<ControlPlane> {
  await mkdir(join(options.stateDir, 'logs'), { recursive: true, mode: 0o700 })
  const address = '127.0.0.1'
  const [etcdClient, etcdPeer, apiServer, controllerManager, scheduler] = await findFreePorts(5)
  const ports = {
    etcdClient: etcdClient ?? 0,
    etcdPeer: etcdPeer ?? 0,
    apiServer: apiServer ?? 0,
    controllerManager: controllerManager ?? 0,
    scheduler: scheduler ?? 0,
  }
  const site = {
    stateDir: options.stateDir,
    clusterName: 'spillway',
    address,
    apiServerPort: ports.apiServer,
    nowMs: options.clock.wallMs(),
  }
  const pki = await openControlPlanePki(site)
  const spillway = await createSpillwayIdentity({ ...site, pki, virtualNodes: options.virtualNodes ?? [] })
  const plan: ControlPlanePlan = {
    stateDir: options.stateDir,
    binaries: options.binaries,
    environment: options.environment,
    address,
    publishesEndpoint: false,
    ports,
    pki,
    forgetful: true,
    extraArguments: options.extraArguments ?? {},
  }
  const admin = await adminCredentials(plan)
  const controlPlane = new RootlessControlPlane(options, plan, admin, spillway)
  try {
    await controlPlane.startAll(signal)
    return controlPlane
  } catch (error) {
    // Not with the caller's signal: it may be what ended the start.
    await controlPlane.stop(new AbortController().signal)
    throw error
  }
}

/** The administrator's credentials of a control plane. */
export async function adminCredentials(plan: {
  readonly address: string
  readonly ports: { readonly apiServer: number }
  readonly pki: ControlPlanePki
}): Promise<ExplicitCredentials> {
  return {
    server: `https://${plan.address}:${plan.ports.apiServer}`,
    ca: plan.pki.authority.pem,
    cert: await readFile(plan.pki.admin.certFile, 'utf8'),
    key: await readFile(plan.pki.admin.keyFile, 'utf8'),
  }
}

/** Resolves once the ServiceAccount exists that every Pod of the default namespace is given. */
export async function whenPodsCanBeMade(client: KubeApi, clock: Clock, signal: AbortSignal): Promise<void> {
  await waitUntil(
    (signal) => client.get(serviceAccounts, { namespace: 'default', name: 'default' }, signal),
    { condition: 'ServiceAccount default/default exists', timeoutMs: 60_000, clock },
    signal,
  )
}

/** True, or undefined for "not yet"; an error says why not yet. */
export async function isComponentReady(
  component: ControlPlaneComponent,
  { ports, address, pki }: Pick<ControlPlanePlan, 'ports' | 'address' | 'pki'>,
  client: KubeApi,
  signal: AbortSignal,
): Promise<true | undefined> {
  // etcd answers only who shows its certificate; the API server's readiness includes it.
  if (component === 'etcd') return true
  if (component === 'kube-apiserver') {
    await client.getText('/readyz', signal)
    return true
  }
  const port = component === 'kube-scheduler' ? ports.scheduler : ports.controllerManager
  const ca = pki.authority.pem
  const status = await probeHttp({ url: `https://${address}:${port}/healthz`, ca }, signal)
  return status === 200 ? true : undefined
}

class RootlessControlPlane implements ControlPlane {
  readonly kubeconfig: string
  readonly server: string
  readonly admin: ExplicitCredentials
  readonly stateDir: string
  readonly spillway: SpillwayIdentity
  readonly #plan: ControlPlanePlan
  readonly #clock: Clock
  readonly #client: KubeApi & { close(): Promise<void> }
  readonly #processes = new Map<ControlPlaneComponent, ProcessRecord>()

  constructor(
    options: ControlPlaneOptions,
    plan: ControlPlanePlan,
    admin: ExplicitCredentials,
    spillway: SpillwayIdentity,
  ) {
    const { clock, log, random } = options
    this.#plan = plan
    this.#clock = clock
    this.stateDir = plan.stateDir
    this.admin = admin
    this.server = admin.server
    this.spillway = spillway
    this.kubeconfig = plan.pki.kubeconfigs.admin
    this.#client = createKubeClient({
      credentials: explicitCredentials(admin),
      userAgent: 'spillway (control plane)',
      clock,
      log,
      random,
    })
  }

  /** Controller-manager and scheduler end themselves when there is no API server, so they wait for it. */
  async startAll(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#launch('etcd'), this.#launch('kube-apiserver')])
    await this.#whenReady('kube-apiserver', signal)
    await Promise.all([
      this.startComponent('kube-controller-manager', signal),
      this.startComponent('kube-scheduler', signal),
      this.spillway.publish(this.#client, signal),
    ])
    await whenPodsCanBeMade(this.#client, this.#clock, signal)
  }

  logFile(component: ControlPlaneComponent): string {
    return join(this.stateDir, 'logs', `${component}.log`)
  }

  async killComponent(component: ControlPlaneComponent, signal: AbortSignal): Promise<void> {
    const record = this.#processes.get(component)
    if (record !== undefined) await stopProcess(record, { graceMs: 0, clock: this.#clock }, signal)
  }

  async signalComponent(component: ControlPlaneComponent, name: NodeJS.Signals): Promise<void> {
    const record = this.#processes.get(component)
    if (record === undefined || !(await signalProcess(record, name))) {
      throw new SpillwayError('NotFound', `${component} does not run`)
    }
  }

  async startComponent(component: ControlPlaneComponent, signal: AbortSignal): Promise<void> {
    const record = this.#processes.get(component)
    if (record === undefined || !(await isRunning(record))) await this.#launch(component)
    await this.#whenReady(component, signal)
  }

  async stop(signal: AbortSignal): Promise<void> {
    // Nobody needs this data: killing spares the API server's orderly end of many seconds.
    await Promise.all(controlPlaneComponents.map((component) => this.killComponent(component, signal)))
    await this.#client.close()
  }

  async #launch(component: ControlPlaneComponent): Promise<void> {
    const record = await startProcess(controlPlaneProgram(component, this.#plan), {
      logFile: this.logFile(component),
      workingDir: this.stateDir,
      diesWithUs: true,
    })
    this.#processes.set(component, record)
  }

  async #whenReady(component: ControlPlaneComponent, signal: AbortSignal): Promise<void> {
    const details = (): Promise<string> => logTail(this.logFile(component))
    await waitUntil(
      (signal) => isComponentReady(component, this.#plan, this.#client, signal),
      {
        condition: `${component} is ready`,
        timeoutMs: 60_000,
        clock: this.#clock,
        details,
        checkAlive: async () => {
          const record = this.#processes.get(component)
          if (record !== undefined && (await isRunning(record))) return
          throw new SpillwayError('Environment', `${component} ended by itself:\n${await details()}`)
        },
      },
      signal,
    )
  }
}
