import { admit, type Verdict } from '../lifecycle/admission.ts'
import type { Capabilities } from '../model/capability.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { DesiredPods } from './desired-pods.ts'
import type { Observations } from './observations.ts'
import type { PodEventSink } from './pod-event.ts'

export interface DoorOptions {
  readonly desired: DesiredPods
  readonly observations: Observations
  /** The Node object as the API server has it, once it does. */
  readonly node: () => Node | undefined
  readonly capabilities: () => Capabilities
  readonly recordEvent: PodEventSink
}

/** The door of one virtual node: who asks to be let in, and who has been. */
export class Door {
  readonly #options: DoorOptions
  /** Pods let in by this process; those of an earlier one are known by being observed. */
  readonly #admitted = new Set<PodUid>()
  readonly #held = new Set<PodUid>()

  constructor(options: DoorOptions) {
    this.#options = options
  }

  /** Undefined: the Node is not known yet; ask again. People are told of a refusal, and once of being held. */
  ask(pod: Pod): Verdict | undefined {
    const uid = pod.metadata?.uid as PodUid
    const verdict = this.#verdict(pod)
    if (!verdict) return undefined
    if (verdict.kind === 'admit') {
      this.#held.delete(uid)
      this.#admitted.add(uid)
      return verdict
    }
    const { kind, reason, message } = verdict
    if (kind === 'refuse' || !this.#held.has(uid)) {
      this.#options.recordEvent(pod, { type: 'Warning', reason, message })
    }
    if (kind === 'hold') this.#held.add(uid)
    return verdict
  }

  /** Whether the Pod has passed the door, now or in an earlier life of the process. */
  isAdmitted(uid: PodUid): boolean {
    return this.#admitted.has(uid) || this.#options.observations.get(uid) !== undefined
  }

  settled(uid: PodUid): void {
    this.#admitted.delete(uid)
    this.#held.delete(uid)
  }

  #verdict(pod: Pod): Verdict | undefined {
    const { capabilities, desired } = this.#options
    const node = this.#options.node()
    if (!node) return undefined
    const others = desired
      .unfinished()
      .filter(
        ({ metadata }) => metadata?.uid !== pod.metadata?.uid && this.isAdmitted(metadata?.uid as PodUid),
      )
    return admit({ pod, node, others, capabilities: capabilities() })
  }
}
