import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { runApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/load.ts'
import { publishDefinitions } from '../../src/dev-cluster/definitions.ts'
import type { ControlPlaneOptions } from '../../src/dev-cluster/control-plane.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { systemClock } from '../../src/model/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { applyAdmission } from './admission.ts'
import { startTestControlPlane, type TestControlPlane } from './control-plane.ts'
import { testClient, type TestClient } from './small-cluster.ts'

export interface JourneyAppOptions {
  readonly clusterName: string
  readonly backends: readonly object[]
  readonly pools: readonly object[]
  /** Further fields of the configuration file. */
  readonly more?: object
  /** Of the control plane's programs, as in its own options. */
  readonly extraArguments?: ControlPlaneOptions['extraArguments']
}

/** The whole of Spillway on a real control plane of its own, with rights and definitions as a user applies them. */
export class JourneyApp implements AsyncDisposable {
  readonly plane: TestControlPlane
  /** Cluster-admin. */
  readonly api: TestClient
  readonly folder: string
  readonly configFile: string
  readonly #options: JourneyAppOptions
  #firstPort = 0
  #webhookPort = 0
  #running: { readonly ending: AbortController; readonly ended: Promise<void> } | undefined

  private constructor(plane: TestControlPlane, options: JourneyAppOptions) {
    this.plane = plane
    this.api = testClient(explicitCredentials(plane.controlPlane.admin), 'journey')
    this.folder = mkdtempSync(join(tmpdir(), 'sw-'))
    this.configFile = join(this.folder, 'spillway.yaml')
    this.#options = options
  }

  static async start(options: JourneyAppOptions, signal: AbortSignal): Promise<JourneyApp> {
    const { extraArguments } = options
    const plane = await startTestControlPlane({ ...(extraArguments && { extraArguments }) })
    const journey = new JourneyApp(plane, options)
    const { spillway } = journey.plane.controlPlane
    await spillway.publish(journey.api, signal)
    await applyAdmission(journey.api, signal)
    await publishDefinitions(journey.api, systemClock, signal)
    const [firstPort = 0, webhookPort = 0] = await findFreePorts(2)
    journey.#firstPort = firstPort
    journey.#webhookPort = webhookPort
    journey.begin()
    return journey
  }

  /** Starts Spillway, as its next process would; with other fields of the configuration than at first. */
  begin(changes: object = {}): void {
    if (this.#running) throw new Error(`${this.#options.clusterName} runs already`)
    const { clusterName, backends, pools, more } = this.#options
    writeFileSync(
      this.configFile,
      stringify({
        clusterName,
        kubeconfig: this.plane.controlPlane.spillway.kubeconfig,
        state: this.folder,
        run: this.folder,
        nodeApi: {
          address: '127.0.0.1',
          firstPort: this.#firstPort,
          clientCa: this.plane.controlPlane.spillway.caFile,
        },
        nodeIdentity: 'csr',
        admissionWebhook: { port: this.#webhookPort },
        backends,
        pools,
        ...more,
        ...changes,
      }),
    )
    const ending = new AbortController()
    const world = { clock: systemClock, log: silentLog(), random: Math.random, environment: {} }
    const config = loadConfig({ file: this.configFile, flags: {}, environment: {} })
    const ended = runApp(config, world, ending.signal)
    ended.catch(() => undefined)
    this.#running = { ending, ended }
  }

  /** Whether Spillway has not ended by itself. */
  async runs(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    void this.#running?.ended.then(
      () => resolve(false),
      () => resolve(false),
    )
    setImmediate(() => resolve(this.#running !== undefined))
    return await promise
  }

  /** Ends Spillway; the cluster goes on. */
  async end(): Promise<void> {
    this.#running?.ending.abort()
    await this.#running?.ended.catch((error: unknown) => {
      if (!(error instanceof Error) || error.name !== 'AbortError') throw error
    })
    this.#running = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
    await this.api.close()
    await this.plane[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
