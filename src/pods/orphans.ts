import type { Backend } from '../backends/backend.ts'
import type { KubeApi } from '../kube/api.ts'
import { pods } from '../kube/resources.ts'
import type { Clock } from '../model/clock.ts'
import { hasCode } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import type { DesiredPods } from './desired-pods.ts'

export interface OrphansOptions {
  readonly backend: Backend
  /** Of a node that is no longer served: an empty one. The backend lists only what this instance has started. */
  readonly desiredOf: (nodeName: string) => DesiredPods
  readonly api: KubeApi
  readonly clock: Clock
  readonly log: Log
  /** An orphan is confirmed, so the usual way may end it: `decide` sees it as deleted. */
  readonly confirmed: (uid: PodUid) => void
  /** A condition for people, or undefined when all is well again. */
  readonly halted: (reason: string | undefined) => void
}

const suspicionMs = 30_000
const halt = { share: 0.2, least: 3 }

/**
 * Finds Pods that run here and that the API server no longer knows. Slow to believe: a synced list, the same
 * suspicion half a minute later, and a live GET by UID. If more than a fifth of all look like orphans at once, it is
 * more likely that we look at the wrong cluster or at an API server restored from a backup: halt and say so. Only what
 * runs counts for that: of Pods that ended, a restart between the end of the object and `forget` leaves the evidence,
 * and a crowd of those must not keep anything from being cleared away.
 */
export class Orphans {
  readonly #options: OrphansOptions
  readonly #suspectedAtMs = new Map<PodUid, number>()

  constructor(options: OrphansOptions) {
    this.#options = options
  }

  /** One sweep. Rejects when the backend or the API server cannot be asked; nothing has been done then. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { backend, clock, halted, log } = this.#options
    const all = await backend.list(signal)
    const suspects = all.filter((observed) => this.#isUnknown(observed))
    this.#forgetCleared(suspects)
    const running = all.filter(isRunning).length
    const runningSuspects = suspects.filter(isRunning).length
    const tooMany = runningSuspects >= halt.least && runningSuspects > running * halt.share
    if (tooMany) {
      log.error({ suspects: runningSuspects, pods: running }, 'too many orphans at once: halted')
    }
    halted(
      tooMany
        ? `${runningSuspects} of ${running} Pods here are unknown to the API server; none is ended`
        : undefined,
    )
    const now = clock.monotonicMs()
    for (const suspect of tooMany ? suspects.filter((pod) => !isRunning(pod)) : suspects) {
      const since = this.#suspectedAtMs.get(suspect.uid)
      if (since === undefined) this.#suspectedAtMs.set(suspect.uid, now)
      else if (now - since >= suspicionMs) await this.#judge(suspect, signal)
    }
  }

  #isUnknown({ uid, nodeName }: PodObservation): boolean {
    const desired = this.#options.desiredOf(nodeName)
    return desired.synced && desired.get(uid).kind === 'unknown'
  }

  #forgetCleared(suspects: readonly PodObservation[]): void {
    const still = new Set(suspects.map(({ uid }) => uid))
    for (const uid of this.#suspectedAtMs.keys()) if (!still.has(uid)) this.#suspectedAtMs.delete(uid)
  }

  async #judge({ uid, namespace, name, nodeName }: PodObservation, signal: AbortSignal): Promise<void> {
    const { api, confirmed, desiredOf, log } = this.#options
    try {
      const live = await api.get(pods, { namespace, name }, signal)
      // Known after all, and our cache is behind: leave it to the watch.
      if (live.metadata?.uid === uid) return
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
    }
    log.warn(
      { pod: uid, namespace, name, node: nodeName },
      'orphan confirmed: the API server does not know it',
    )
    this.#suspectedAtMs.delete(uid)
    const lastSeen: Pod = { metadata: { uid, namespace, name }, spec: { nodeName, containers: [] } }
    desiredOf(nodeName).confirmDeleted(uid, lastSeen)
    confirmed(uid)
  }
}

function isRunning({ phase }: PodObservation): boolean {
  return phase !== 'stopped'
}
