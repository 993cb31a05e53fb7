import { isTerminal } from '../lifecycle/decide.ts'
import { admitResize, type ResizeRefusal } from '../lifecycle/resize-admission.ts'
import type { PendingResize } from '../lifecycle/resize-conditions.ts'
import { byResizeOrder, type WaitingResize } from '../lifecycle/resize-order.ts'
import type { Clock } from '../model/clock.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import type { AllocationObservation, PodObservation } from '../model/pod-observation.ts'
import { resourcesOf, sameResources, withResources } from '../model/pod-resources.ts'
import type { PodUid } from '../model/pod-key.ts'
import { add, boundPodRequests, noResources, type Resources } from '../model/resources.ts'
import type { DesiredPods } from './desired-pods.ts'
import type { Observations } from './observations.ts'
import type { SandboxRules } from './sandbox-rules.ts'

export interface AllocationsOptions {
  readonly desired: DesiredPods
  readonly observations: Observations
  /** The Node object as the API server has it, once it does. */
  readonly node: () => Node | undefined
  readonly sandboxes: Pick<SandboxRules, 'capabilities'>
  /** Look at this Pod again: what was decided of its resize is another than before. */
  readonly changed: (uid: PodUid) => void
  readonly clock: Clock
}

/** How far the size is that a Pod asks for. */
export interface SizeView {
  /** It has been set aside and the backend does not know of it yet. */
  readonly granted: boolean
  /** It has not been set aside; `unknown` while nobody can say. */
  readonly pending: PendingResize | 'unknown' | undefined
}

type Allocation = Pick<AllocationObservation, 'generation' | 'resources'>

/** What was answered to the Pod that asks for another size. */
interface Answer {
  readonly generation: number
  /** Undefined: the Node was not known, so nobody could say. */
  readonly refusal: ResizeRefusal | undefined
  /** Since when it waits for that reason. */
  readonly sinceMs: number | undefined
}

/**
 * What one virtual node has set aside for each of its Pods: kubelet's allocation manager. A Pod keeps what it was let in
 * with until the size that it asks for fits beside the others; the backend keeps the answer, so that a restart of ours
 * finds it there. Here is only what is on its way to the backend, and who waits for room.
 */
export class Allocations {
  readonly #options: AllocationsOptions
  readonly #letIn = new Set<PodUid>()
  /** Until the backend tells of it. */
  readonly #granted = new Map<PodUid, Allocation>()
  readonly #answers = new Map<PodUid, Answer>()
  #heldWhenAsked: Resources = noResources

  constructor(options: AllocationsOptions) {
    this.#options = options
  }

  /** A new Pod has passed the door: the size that it asks for now is set aside. */
  letIn(pod: Pod): void {
    const uid = uidOf(pod)
    this.#letIn.add(uid)
    if (!this.#allocationOf(uid)) this.#granted.set(uid, allocationFor(pod))
  }

  /** Whether the Pod has passed the door, now or in an earlier life of the process. */
  isLetIn(uid: PodUid): boolean {
    return this.#letIn.has(uid) || this.#options.observations.get(uid) !== undefined
  }

  /** The other Pods of the node that were let in and are not over, each at the size that was set aside for it. */
  besides(uid: PodUid | undefined): Pod[] {
    return this.#options.desired
      .unfinished()
      .filter((pod) => uidOf(pod) !== uid && this.isLetIn(uidOf(pod)))
      .map((pod) => this.sized(pod))
  }

  /** The Pod at the size that was set aside for it, which is not always the one that it asks for. */
  sized(pod: Pod): Pod {
    const allocation = this.#allocationOf(uidOf(pod))
    return allocation ? withResources(pod, allocation.resources) : pod
  }

  /** What the backend is to be given: the size that was set aside, under the generation that asked for it. */
  handOver(pod: Pod): Pod {
    const granted = this.#granted.get(uidOf(pod))
    const sized = this.sized(pod)
    if (!granted || sized === pod) return sized
    return { ...sized, metadata: { ...sized.metadata, generation: granted.generation } }
  }

  /** Whether the backend is still to be told of the size that was set aside. */
  isGranted(pod: Pod): boolean {
    const uid = uidOf(pod)
    return this.#options.observations.get(uid)?.allocation !== undefined && this.#granted.has(uid)
  }

  /** Asks for the size that the Pod wants, unless that was asked before. */
  look(pod: Pod, observed: PodObservation | undefined): SizeView {
    const uid = uidOf(pod)
    if (!isResizable(pod, observed)) return this.#view(pod)
    const allocation = this.#allocationOf(uid)
    if (!allocation || sameResources(resourcesOf(pod), allocation.resources)) {
      this.#answers.delete(uid)
      return this.#view(pod)
    }
    const before = this.#answers.get(uid)
    const generation = generationOf(pod)
    if (before?.generation !== generation || !before.refusal) {
      const sinceMs = before ? before.sinceMs : deferredSinceMs(pod)
      this.#answers.set(uid, { generation, refusal: undefined, sinceMs })
      this.#ask(uid)
    }
    return this.#view(pod)
  }

  /** Asks again for those that wait, if less is held than when they asked: kubelet's RetryPendingResizes. */
  retryIfFreed(): void {
    if (![...this.#answers.values()].some(isWaiting)) return
    const before = this.#heldWhenAsked
    const held = this.#held()
    if (held.cpuMillis < before.cpuMillis || held.memoryBytes < before.memoryBytes) this.retry()
  }

  retry(): void {
    this.#ask(undefined)
  }

  /** The backend will not do what was granted: the size of before holds. */
  refused(uid: PodUid, generation: number, message: string): void {
    this.#granted.delete(uid)
    const refusal = { reason: 'Infeasible', cause: 'Infeasible', message } as const
    this.#answers.set(uid, { generation, refusal, sinceMs: undefined })
    this.#options.changed(uid)
  }

  /** The backend lost the Pod, which begins anew at the size that it asks for. */
  lost(pod: Pod): void {
    this.settled(uidOf(pod))
    this.letIn(pod)
  }

  settled(uid: PodUid): void {
    this.#letIn.delete(uid)
    this.#granted.delete(uid)
    this.#answers.delete(uid)
  }

  /** In kubelet's order, each beside what those before it were granted. Who asks hears the answer by itself. */
  #ask(asking: PodUid | undefined): void {
    const { sandboxes, changed, clock } = this.#options
    const node = this.#options.node()
    if (!node) return
    for (const { pod } of this.#waiting().sort(byResizeOrder)) {
      const uid = uidOf(pod)
      const before = this.#answers.get(uid)
      const verdict = admitResize({
        pod,
        node,
        others: this.besides(uid),
        capabilities: sandboxes.capabilities(pod),
      })
      if (verdict.kind === 'fits') {
        this.#granted.set(uid, allocationFor(pod))
        this.#answers.delete(uid)
      } else {
        const sinceMs = before?.sinceMs ?? clock.wallMs()
        this.#answers.set(uid, { generation: generationOf(pod), refusal: verdict, sinceMs })
      }
      const after = this.#answers.get(uid)
      if (uid !== asking && before?.refusal?.message !== after?.refusal?.message) changed(uid)
    }
    this.#heldWhenAsked = this.#held()
  }

  #waiting(): WaitingResize[] {
    const { desired, observations } = this.#options
    return [...this.#answers].flatMap(([uid, answer]): WaitingResize[] => {
      const wanted = desired.get(uid)
      if (!isWaiting(answer) || wanted.kind !== 'present') return []
      const { pod } = wanted
      if (!isResizable(pod, observations.get(uid))) return []
      return [{ pod, allocated: this.sized(pod), sinceMs: answer.sinceMs }]
    })
  }

  #view(pod: Pod): SizeView {
    const granted = this.isGranted(pod)
    const answer = this.#answers.get(uidOf(pod))
    const { generation, refusal } = answer ?? {}
    const known = this.#options.observations.get(uidOf(pod))?.supervised && (!answer || refusal)
    if (!known) return { granted, pending: 'unknown' }
    return { granted, pending: refusal && generation !== undefined ? { ...refusal, generation } : undefined }
  }

  #held(): Resources {
    return this.besides(undefined).reduce((sum, pod) => add(sum, boundPodRequests(pod)), noResources)
  }

  /** The newer of what is on its way to the backend and what that tells of. */
  #allocationOf(uid: PodUid): Allocation | undefined {
    const told = this.#options.observations.get(uid)?.allocation
    const granted = this.#granted.get(uid)
    if (!granted || !told) return granted ?? told
    if (granted.generation > told.generation) return granted
    this.#granted.delete(uid)
    return told
  }
}

function isResizable(pod: Pod, observed: PodObservation | undefined): boolean {
  if (!observed?.supervised || pod.metadata?.deletionTimestamp || isTerminal(pod)) return false
  return observed.phase === 'starting' || observed.phase === 'running'
}

function isWaiting({ refusal }: Answer): boolean {
  return refusal?.reason !== 'Infeasible'
}

function allocationFor(pod: Pod): Allocation {
  return { generation: generationOf(pod), resources: resourcesOf(pod) }
}

/** As an earlier life of the process wrote it down. */
function deferredSinceMs({ status }: Pod): number | undefined {
  const since = status?.conditions?.find(({ type }) => type === 'PodResizePending')?.lastTransitionTime
  return since ? Date.parse(since) : undefined
}

function generationOf({ metadata }: Pod): number {
  return metadata?.generation ?? 0
}

function uidOf({ metadata }: Pod): PodUid {
  return metadata?.uid as PodUid
}
