import { errorMessage } from '../../../model/errors.ts'
import type { BackendHealth, HealthCheck } from '../../backend.ts'
import type { CriTools } from '../pod/pod-context.ts'
import { bad, diskHealth, memoryHealth, pidHealth, runtimeHealth, type Disk } from './health.ts'
import { defaultThresholds, type Thresholds } from './thresholds.ts'

export interface HostHealthOptions {
  readonly tools: Pick<CriTools, 'network' | 'runtime' | 'settings'>
  /** Of images; undefined when the runtime does not tell. */
  readonly imageDisk: (signal: AbortSignal) => Promise<string | undefined>
}

/** How the runtime and the machine under it are. Trouble is an answer. */
export class HostHealth {
  readonly #options: HostHealthOptions
  readonly #thresholds: Thresholds

  constructor(options: HostHealthOptions) {
    this.#options = options
    this.#thresholds = { ...defaultThresholds, ...options.tools.settings.options.evictionHard }
  }

  async check(signal: AbortSignal): Promise<BackendHealth> {
    const [answer, disk, memory, pids] = await Promise.all([
      this.#ask(signal),
      this.disk(signal),
      memoryHealth(this.#thresholds).catch(failed),
      pidHealth(this.#thresholds).catch(failed),
    ])
    return { ...answer, disk, memory, pids }
  }

  async disk(signal: AbortSignal): Promise<HealthCheck> {
    return await this.#disks(signal)
      .then((disks) => diskHealth(disks, this.#thresholds))
      .catch(failed)
  }

  async #ask(signal: AbortSignal): Promise<Pick<BackendHealth, 'runtime' | 'network' | 'runtimeVersion'>> {
    try {
      const { status, facts } = await this.#options.tools.runtime.ask(signal)
      return { ...this.#withNetwork(runtimeHealth(status)), runtimeVersion: facts.version }
    } catch (error) {
      const lost = bad('RuntimeUnreachable', errorMessage(error))
      return { runtime: lost, network: lost, runtimeVersion: 'containerd://unknown' }
    }
  }

  /** The runtime's network may be ready where ours is not. */
  #withNetwork(found: ReturnType<typeof runtimeHealth>): ReturnType<typeof runtimeHealth> {
    const { trouble } = this.#options.tools.network
    return trouble === undefined || !found.network.ok
      ? found
      : { ...found, network: bad('PodsNotIsolated', trouble) }
  }

  /** Where images lie is known once the runtime has been asked; a runtime that does not answer fills no disk. */
  async #disks(signal: AbortSignal): Promise<readonly Disk[]> {
    const { imageDisk, tools } = this.#options
    const images = await imageDisk(signal).catch(() => undefined)
    return [
      { kind: 'nodefs', path: tools.settings.options.stateDir },
      ...(images === undefined ? [] : [{ kind: 'imagefs', path: images } as const]),
    ]
  }
}

function failed(error: unknown): HealthCheck {
  return bad('CheckFailed', errorMessage(error))
}
