import type { Pod } from '../../../model/kubernetes.ts'
import { asPodUid, podRef, type PodRef, type PodUid } from '../../../model/pod-key.ts'
import type { PodObservation } from '../../../model/pod-observation.ts'
import type { PodSources } from '../../backend.ts'
import { AttemptNotes } from './attempt-notes.ts'
import type { ContainerItem, SandboxItem, StringMap } from '../runtime/cri-types.ts'
import { kindOf, nodeNameOf, ownerLabels, podOfLabels, type ContainerPlan } from '../marks.ts'
import { podPaths } from '../paths.ts'
import type { CriTools } from './pod-context.ts'
import { firstAllocation, PodAllocation } from '../resources/pod-allocation.ts'
import type { SeenContainer } from './observe.ts'
import { PodLoop } from './pod-loop.ts'
import type { Ending, PodRecord } from './pod-store.ts'
import { plannedContainers } from '../translate/translate.ts'
import type { WatchHub } from '../watch-hub.ts'

interface Listed {
  readonly sandboxes: readonly SandboxItem[]
  readonly containers: readonly ContainerItem[]
}

/**
 * The loops of all Pods of ours on one runtime. Which there are is read back from the runtime's labels and from the
 * records on disk, so that a new process finds what an earlier one left, at whatever point that was killed.
 */
export class PodLoops {
  readonly #tools: CriTools
  readonly #hub: WatchHub
  readonly #loops = new Map<PodUid, PodLoop>()
  /** Dropped while everything is being looked at: what was read before may still tell of them. */
  readonly #dropped = new Set<PodUid>()
  #listing: Promise<void> | undefined

  constructor(tools: CriTools, hub: WatchHub) {
    this.#tools = tools
    this.#hub = hub
  }

  get(uid: PodUid): PodLoop | undefined {
    return this.#loops.get(uid)
  }

  observe(): readonly PodObservation[] {
    return [...this.#loops.values()].map((loop) => loop.observe())
  }

  /** The loop of a Pod that is to run; made, with its record on disk, when there is none. */
  async of(pod: Pod, sources: PodSources): Promise<PodLoop> {
    const ref = podRef(pod)
    const known = this.#loops.get(ref.uid)
    if (known) return known
    const plans = plannedContainers(pod).map(({ plan }) => plan)
    const allocation = firstAllocation(pod, this.#tools.clock.wallMs())
    const record = { ...ref, nodeName: sources.node.name, containers: plans, allocation }
    const loop = this.#make(ref, record, {})
    const { store } = this.#tools
    try {
      await store.writeRecord(loop.paths.podDir, record)
    } catch (error) {
      // Else the next try would find this loop, and make the Pod without a record.
      await loop.close()
      await store.remove(loop.paths.podDir).catch(() => undefined)
      this.drop(ref.uid)
      throw error
    }
    return loop
  }

  drop(uid: PodUid): void {
    this.#loops.delete(uid)
    if (this.#listing) this.#dropped.add(uid)
    this.#hub.publish({ kind: 'gone', uid })
  }

  /** Looks at everything of ours on the runtime. Complete, or rejects. Those who ask meanwhile share the answer. */
  async relist(signal: AbortSignal): Promise<void> {
    this.#listing ??= this.#relist(signal).finally(() => {
      this.#listing = undefined
      this.#dropped.clear()
    })
    await this.#listing
  }

  /** A container or sandbox has ended: whose it is will look at it. */
  async ended(id: string, signal: AbortSignal): Promise<void> {
    for (const loop of this.#loops.values()) {
      if (!(await loop.picture.lookAt(id, signal))) continue
      loop.changed()
      return
    }
  }

  all(): readonly PodLoop[] {
    return [...this.#loops.values()]
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const { client, settings, store } = this.#tools
    const labels = ownerLabels(settings)
    // Records first: what is recorded after this has a loop in this process.
    const records = await store.records()
    const [sandboxes, containers] = await Promise.all([
      client.listSandboxes(labels, signal),
      client.listContainers(labels, signal),
    ])
    for (const record of records) await this.#adopt(record, record)
    for (const { labels: own } of sandboxes) await this.#adoptUnrecorded(own, containers)
    await Promise.all(
      this.all().map(async (loop) => {
        const own = ofPod(loop.ref.uid, { sandboxes, containers })
        const differs = await loop.picture.reconcile(own.sandboxes, own.containers, signal)
        // An end that an earlier life of this process was asked for: nobody asks again. Not before the look: a Pod of
        // which nothing is known yet would be taken for one that has ended, and its processes killed with its cgroup.
        if (differs || loop.ending) loop.changed()
        else loop.publish()
      }),
    )
  }

  async #adopt(ref: PodRef, record: PodRecord): Promise<void> {
    if (this.#isSettled(ref.uid)) return
    const { podDir } = podPaths(this.#tools.settings.options.stateDir, ref)
    const notes = new AttemptNotes(podDir)
    const { store } = this.#tools
    const [ending, shed] = await Promise.all([store.readEnding(podDir), store.readShed(podDir), notes.load()])
    // Nobody else may have come first meanwhile.
    if (this.#isSettled(ref.uid)) return
    const { uid, namespace, name } = ref
    this.#make({ uid, namespace, name }, record, { ending, notes, shed })
  }

  /** A sandbox of ours without a record on disk: the state folder was lost. The labels say enough to end it. */
  async #adoptUnrecorded(labels: StringMap, containers: readonly ContainerItem[]): Promise<void> {
    const ref = podOfLabels(labels)
    if (!ref || this.#isSettled(ref.uid)) return
    const own = containers.filter((container) => podOfLabels(container.labels)?.uid === ref.uid)
    const plans = new Map<string, ContainerPlan>()
    for (const { metadata, labels: marks } of own) {
      plans.set(metadata.name, { name: metadata.name, kind: kindOf(marks), image: '' })
    }
    const record = { ...ref, nodeName: nodeNameOf(labels), containers: [...plans.values()] }
    await this.#adopt(ref, record)
  }

  /** It has a loop, or is to have none any more. */
  #isSettled(uid: PodUid): boolean {
    return this.#loops.has(uid) || this.#dropped.has(uid)
  }

  #make(
    ref: PodRef,
    record: PodRecord,
    known: {
      readonly ending?: Ending | undefined
      readonly notes?: AttemptNotes
      readonly shed?: readonly SeenContainer[]
    },
  ): PodLoop {
    const { podDir } = podPaths(this.#tools.settings.options.stateDir, ref)
    const loop = new PodLoop({
      tools: this.#tools,
      ref: { ...ref, uid: asPodUid(ref.uid) },
      nodeName: record.nodeName,
      plans: record.containers,
      notes: known.notes ?? new AttemptNotes(podDir),
      allocation: new PodAllocation(this.#tools.store, podDir, record),
      ending: known.ending,
      publish: (event) => this.#hub.publish(event),
    })
    loop.picture.remember(known.shed ?? [])
    this.#loops.set(ref.uid, loop)
    return loop
  }
}

function ofPod(uid: PodUid, { sandboxes, containers }: Listed): Listed {
  return {
    sandboxes: sandboxes.filter(({ labels }) => podOfLabels(labels)?.uid === uid),
    containers: containers.filter(({ labels }) => podOfLabels(labels)?.uid === uid),
  }
}
