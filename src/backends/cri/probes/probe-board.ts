import type { ProbeConclusion } from '../../../lifecycle/probe-state.ts'
import type { Container } from '../../../model/kubernetes.ts'
import { errorMessage } from '../../../model/errors.ts'
import type { PodHappening } from '../../backend.ts'
import { nanosToMs } from '../runtime/cri-types.ts'
import { execInContainer } from '../runtime/exec-in-container.ts'
import type { SeenContainer, Wellness } from '../pod/observe.ts'
import type { CriTools } from '../pod/pod-context.ts'
import { Prober } from './prober.ts'

export interface ProbeBoardInput {
  readonly tools: CriTools
  readonly isStopping: () => boolean
  readonly onChange: () => void
  readonly onHappening: (happening: PodHappening) => void
}

interface Watched {
  readonly container: string
  readonly prober: Prober
  readonly end: AbortController
}

/** The probers of one Pod's running containers. */
export class ProbeBoard {
  readonly #input: ProbeBoardInput
  readonly #watched = new Map<string, Watched>()

  constructor(input: ProbeBoardInput) {
    this.#input = input
  }

  /** By container id. */
  get wellness(): ReadonlyMap<string, Wellness> {
    return new Map([...this.#watched].map(([id, { prober }]) => [id, prober.conclusion]))
  }

  /** By container name: whose probe asks for its end. */
  get failed(): ReadonlyMap<string, 'liveness' | 'startup'> {
    const failed = new Map<string, 'liveness' | 'startup'>()
    for (const { container, prober } of this.#watched.values()) {
      const kill: ProbeConclusion['kill'] = prober.conclusion.kill
      if (kill) failed.set(container, kill)
    }
    return failed
  }

  /** Probes what runs and has probes, once each; lets go of what has ended. */
  follow(running: readonly FollowedContainer[]): void {
    const ids = new Set(running.map(({ seen }) => seen.status.id))
    for (const [id, { end }] of this.#watched) {
      if (ids.has(id)) continue
      end.abort()
      this.#watched.delete(id)
    }
    for (const followed of running) this.#watch(followed)
  }

  close(): void {
    this.follow([])
  }

  #watch({ seen, container, fieldPath, podIp, adopted }: FollowedContainer): void {
    const { status } = seen
    const probed = container.readinessProbe ?? container.livenessProbe ?? container.startupProbe
    if (!probed || this.#watched.has(status.id)) return
    const { tools, isStopping, onChange, onHappening } = this.#input
    const end = new AbortController()
    const prober = new Prober({
      container,
      fieldPath,
      podIp,
      startedAtMs: nanosToMs(status.startedAt),
      ...(adopted && { adopted }),
      exec: execInContainer(tools.client, status.id),
      clock: tools.clock,
      random: tools.random,
      isStopping,
      onConclusion: onChange,
      onHappening,
    })
    this.#watched.set(status.id, { container: container.name, prober, end })
    prober.run(end.signal).catch((error: unknown) => {
      tools.log.error({ error: errorMessage(error), container: container.name }, 'a prober has failed')
    })
  }
}

export interface FollowedContainer {
  readonly seen: SeenContainer
  readonly container: Container
  readonly fieldPath: string
  readonly podIp: string
  /** What the API server knew of it, when an earlier life of this process had started it. */
  readonly adopted: Wellness | undefined
}
