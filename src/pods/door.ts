import { admit, type AdmissionRule, type BudgetRefused, type Verdict } from '../lifecycle/admission.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { Allocations } from './allocations.ts'
import type { PodEventSink } from './pod-event.ts'
import type { SandboxRules } from './sandbox-rules.ts'

export interface DoorOptions {
  readonly allocations: Allocations
  /** The Node object as the API server has it, once it does. */
  readonly node: () => Node | undefined
  /** The Pods that other virtual nodes of the same machine have let in. */
  readonly neighbours: () => readonly Pod[]
  readonly sandboxes: SandboxRules
  /** The pool's own rules of who may come. */
  readonly policy: readonly AdmissionRule[]
  /** Why the Pod may not start for what it costs. */
  readonly budget: (pod: Pod) => BudgetRefused | undefined
  readonly recordEvent: PodEventSink
}

/** The door of one virtual node: who asks to be let in, and who has been. */
export class Door {
  readonly #options: DoorOptions
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
      this.#options.allocations.letIn(pod)
      return verdict
    }
    if (verdict.kind === 'preempt') return verdict
    const { kind, reason, message } = verdict
    if (kind === 'refuse' || !this.#held.has(uid)) {
      this.#options.recordEvent(pod, { type: 'Warning', reason, message })
    }
    if (kind === 'hold') this.#held.add(uid)
    return verdict
  }

  settled(uid: PodUid): void {
    this.#held.delete(uid)
  }

  #verdict(pod: Pod): Verdict | undefined {
    const { allocations, neighbours, sandboxes, policy, budget } = this.#options
    const node = this.#options.node()
    if (!node) return undefined
    const others = allocations.besides(pod.metadata?.uid as PodUid)
    // Asked again before it could start: what it was let in with is what has been set aside.
    const sized = allocations.sized(pod)
    const noSandbox = sandboxes.noSandbox(pod)
    const capabilities = sandboxes.capabilities(pod)
    return admit({ pod: sized, node, others, neighbours, capabilities, noSandbox, policy, budget })
  }
}
