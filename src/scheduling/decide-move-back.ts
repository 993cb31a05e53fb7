import { kubeTime, parseTimeMs } from '../model/clock.ts'
import type { Deployment, Pod, ReplicaSet } from '../model/kubernetes.ts'
import { controllerOf } from '../model/controller-of.ts'
import { moveBackAfterAnnotation } from '../model/words.ts'
import type { ClusterPicture, NodeRoom } from './cluster-picture.ts'
import { firstToLeave, nextToLeave, whyNotMovable, type MovableContext } from './movable.ts'
import { isActive, readySinceMs } from './removal-order.ts'
import { afterThoseWhoWait, lowestPriorityOn, serversWithRoom } from './server-room.ts'
import { asTwin, isOrWasTwin, triesOf, twinOf } from './twin.ts'
import { unsettled, workloadsOf, type Workload } from './workload.ts'

/** For one Pod: a policy may say otherwise for some than for others. */
export interface MoveBackRules {
  /** How long servers have to have had room without a break. */
  readonly afterMs: number
  /** Percent of a server's processors and memory that stay free after the move. */
  readonly reservePercent: number
  /** How long a twin may take to become available. */
  readonly giveUpMs: number
}

export interface MoveBackPolicy {
  /** Undefined: this Pod is not moved back. */
  rulesOf(pod: Pod): MoveBackRules | undefined
  /** Most moves that are begun in a minute, over all Pods. */
  readonly perMinute: number
}

export interface MoveBackView {
  readonly picture: ClusterPicture
  readonly pods: readonly Pod[]
  readonly replicaSets: readonly ReplicaSet[]
  readonly deployments: readonly Deployment[]
}

export interface MoveBackMoment {
  readonly nowWallMs: number
  /** By `calmKey`: since when there has been room on servers for one more Pod of a ReplicaSet. */
  readonly roomSinceMs: ReadonlyMap<string, number>
}

export type MoveBackStep =
  | {
      readonly kind: 'make'
      readonly original: Pod
      readonly replicaSet: ReplicaSet
      readonly because: string
    }
  /** `leaving` is whom the ReplicaSet then removes: the original, or another one on a virtual node. */
  | {
      readonly kind: 'hand over'
      readonly twin: Pod
      readonly original: Pod
      readonly leaving: Pod
      readonly replicaSet: ReplicaSet
    }
  /** Removes the twin, and lets the original be until that time. */
  | {
      readonly kind: 'give up'
      readonly twin: Pod
      readonly original: Pod
      readonly because: string
      readonly until: PutOff
    }
  /** Removes a twin that nobody needs any more. */
  | { readonly kind: 'drop'; readonly twin: Pod; readonly because: string }

export interface PutOff {
  readonly time: string
  readonly tries: number
}

export interface MoveBackDecision {
  readonly steps: readonly MoveBackStep[]
  /** For the next time. */
  readonly roomSinceMs: ReadonlyMap<string, number>
  /** When to look again at the latest, if nothing changes; undefined: no need. */
  readonly afterMs: number | undefined
}

/** What is to be done now to bring Pods back to servers. Pure: all state is in the objects, but how long room has lasted. */
export function decideMoveBack(
  view: MoveBackView,
  policy: MoveBackPolicy,
  moment: MoveBackMoment,
): MoveBackDecision {
  const scene = sceneOf(view, moment.nowWallMs)
  const twins = view.pods.filter((pod) => twinOf(pod) !== undefined)
  const looks = twins.map((twin) => lookAfter(twin, scene, policy))
  const begun = beginMoves(scene, policy, moment)
  const times = [...looks, ...begun.looks].flatMap(({ afterMs }) => (afterMs === undefined ? [] : [afterMs]))
  return {
    steps: [...looks, ...begun.looks].flatMap(({ step }) => (step ? [step] : [])),
    roomSinceMs: begun.roomSinceMs,
    afterMs: times.length > 0 ? Math.max(Math.min(...times), 1) : undefined,
  }
}

interface Scene extends MoveBackView {
  readonly nowWallMs: number
  readonly workloads: ReadonlyMap<string, Workload>
  readonly byUid: ReadonlyMap<string, Pod>
  readonly setsByNamespace: ReadonlyMap<string, readonly ReplicaSet[]>
  /** Servers less what others wait for. */
  readonly rooms: readonly NodeRoom[]
  readonly virtualNodes: ReadonlyMap<string, NodeRoom>
  readonly lowestServerPriority: number | undefined
}

/** One thing that was looked at. */
interface Look {
  readonly step?: MoveBackStep
  readonly afterMs?: number | undefined
}

function sceneOf(view: MoveBackView, nowWallMs: number): Scene {
  const { picture, pods } = view
  const rooms = [...picture.virtualNodes.values()].flat()
  return {
    ...view,
    nowWallMs,
    workloads: workloadsOf(view),
    byUid: new Map(pods.map((pod) => [pod.metadata?.uid ?? '', pod])),
    setsByNamespace: Map.groupBy(view.replicaSets, ({ metadata }) => metadata?.namespace ?? ''),
    rooms: afterThoseWhoWait(picture, pods),
    virtualNodes: new Map(rooms.map((room) => [room.name, room])),
    lowestServerPriority: lowestPriorityOn(picture.servers, pods),
  }
}

/** What becomes of a twin. Whatever is in doubt ends it: the Pod that it was to replace runs. */
function lookAfter(twin: Pod, scene: Scene, policy: MoveBackPolicy): Look {
  if (twin.metadata?.deletionTimestamp) return {}
  const original = scene.byUid.get(twinOf(twin) ?? '')
  const drop = (because: string): Look => ({ step: { kind: 'drop', twin, because } })
  if (!original || !isActive(original)) return drop('the Pod whose place it was to take is gone')
  const workload = scene.workloads.get(controllerOf(original)?.uid ?? '')
  const rules = policy.rulesOf(original)
  if (!workload || !rules) return drop('its Pod is not to be moved back any more')
  const change = unsettled(workload) ?? whyNotMovable(original, contextOf(original, workload, scene))
  if (change !== undefined) return drop(change)
  return progress({ twin, original, workload, rules }, scene)
}

interface Move {
  readonly twin: Pod
  readonly original: Pod
  readonly workload: Workload
  readonly rules: MoveBackRules
}

function progress(move: Move, scene: Scene): Look {
  const { twin, original, workload, rules } = move
  const { nowWallMs } = scene
  const minReadyMs = (workload.replicaSet.spec?.minReadySeconds ?? 0) * 1000
  const deadlineMs = createdMs(twin) + rules.giveUpMs + minReadyMs
  const giveUp = (because: string): Look => {
    const until = putOff(original, rules, nowWallMs)
    return { step: { kind: 'give up', twin, original, because, until } }
  }
  const trouble = troubleOf(twin)
  if (trouble !== undefined) return giveUp(trouble)
  if (nowWallMs >= deadlineMs)
    return giveUp(`it could not take over within ${(deadlineMs - createdMs(twin)) / 1000} s`)
  const untilDeadline = { afterMs: deadlineMs - nowWallMs }
  const readyMs = readySinceMs(twin)
  if (readyMs === undefined || !twin.spec?.nodeName) return untilDeadline
  if (nowWallMs < readyMs + minReadyMs) return { afterMs: readyMs + minReadyMs - nowWallMs }
  const leaving = firstToLeave(workload, twin, nowWallMs)
  // Somebody else is unready, or was given a lower cost meanwhile: handed over now, it would be their place it takes.
  if (!isOnVirtualNode(leaving, scene)) return untilDeadline
  const { replicaSet } = workload
  return { step: { kind: 'hand over', twin, original, leaving, replicaSet }, ...untilDeadline }
}

/** An Unschedulable twin would have a cluster autoscaler buy a server for it, and one that preempts costs others theirs. */
function troubleOf({ status }: Pod): string | undefined {
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded')
    return `it ended: ${status.message ?? status.reason ?? status.phase}`
  if (status?.nominatedNodeName) return 'it would have put others out of their place'
  const refused = status?.conditions?.find(
    ({ type, status: is }) => type === 'PodScheduled' && is === 'False',
  )
  return refused?.reason === 'Unschedulable' ? `it found no room: ${refused.message ?? ''}` : undefined
}

const longestPutOffMs = 6 * 3_600_000

/** Twice as long each time. Never shorter than what was written before, when the same end is decided once more. */
export function putOff(original: Pod, { afterMs }: MoveBackRules, nowWallMs: number): PutOff {
  const tries = triesOf(original)
  if (putOffLeftMs(original, nowWallMs) > 0)
    return { time: original.metadata?.annotations?.[moveBackAfterAnnotation] ?? '', tries }
  const durationMs = Math.min(Math.max(afterMs, 60_000) * 2 ** tries, longestPutOffMs)
  return { time: kubeTime(nowWallMs + durationMs), tries: tries + 1 }
}

function putOffLeftMs({ metadata }: Pod, nowWallMs: number): number {
  const time = Date.parse(metadata?.annotations?.[moveBackAfterAnnotation] ?? '')
  return Number.isNaN(time) ? 0 : time - nowWallMs
}

function createdMs({ metadata }: Pod): number {
  return metadata?.creationTimestamp ? parseTimeMs(metadata.creationTimestamp) : 0
}

function isOnVirtualNode({ spec }: Pod, { virtualNodes }: Scene): boolean {
  return virtualNodes.has(spec?.nodeName ?? '')
}

function contextOf(pod: Pod, workload: Workload | undefined, scene: Scene): MovableContext {
  const namespace = pod.metadata?.namespace ?? ''
  return {
    workload,
    neighbours: scene.setsByNamespace.get(namespace) ?? [],
    node: scene.virtualNodes.get(pod.spec?.nodeName ?? '')?.node,
    isVirtual: (other) => isOnVirtualNode(other, scene),
    namespace: scene.picture.namespaces.get(namespace),
    lowestServerPriority: scene.lowestServerPriority,
    nowWallMs: scene.nowWallMs,
  }
}

interface Begun {
  readonly looks: readonly Look[]
  readonly roomSinceMs: ReadonlyMap<string, number>
}

const minuteMs = 60_000

/** One Pod of a ReplicaSet at a time: its controllers count their Pods, and two surplus ones are twice the doubt. */
function beginMoves(scene: Scene, policy: MoveBackPolicy, { roomSinceMs: before }: MoveBackMoment): Begun {
  const { nowWallMs, workloads } = scene
  const recent = scene.pods.filter((pod) => isOrWasTwin(pod) && createdMs(pod) > nowWallMs - minuteMs)
  const moving = new Set(scene.pods.flatMap((pod) => twinOf(pod) ?? []))
  const roomSinceMs = new Map<string, number>()
  const looks: Look[] = []
  let left = policy.perMinute - recent.length
  let { rooms } = scene
  for (const workload of workloads.values()) {
    const putOffMs = Math.max(0, ...outThere(workload, scene).map((pod) => putOffLeftMs(pod, nowWallMs)))
    if (putOffMs > 0) looks.push({ afterMs: putOffMs })
    const candidate = putOffMs > 0 ? undefined : candidateOf(workload, scene, policy)
    if (!candidate) continue
    const { pod, rules } = candidate
    const servers = serversWithRoom(asTwin(pod), rooms, rules.reservePercent)
    if (servers.length === 0) continue
    const sinceMs = before.get(calmKey(workload)) ?? nowWallMs
    roomSinceMs.set(calmKey(workload), sinceMs)
    const isMoving = workload.pods.some((other) => moving.has(other.metadata?.uid ?? ''))
    if (isMoving || unsettled(workload) !== undefined) continue
    const leftMs = sinceMs + rules.afterMs - nowWallMs
    if (leftMs > 0) looks.push({ afterMs: leftMs })
    else if (left <= 0) looks.push({ afterMs: untilOneMore(recent, nowWallMs) })
    else {
      left -= 1
      // The next one does not count on the same room.
      rooms = afterThoseWhoWait({ servers: rooms }, [asTwin(pod)])
      const { replicaSet } = workload
      const because = `${servers[0]} has room for it, and servers have had for ${rules.afterMs / 1000} s`
      looks.push({ step: { kind: 'make', original: pod, replicaSet, because } })
    }
  }
  return { looks, roomSinceMs }
}

/** A ReplicaSet of that size and template: one whose people or autoscaler change it has to be left alone for as long again. */
function calmKey({ replicaSet, deployment }: Workload): string {
  const { uid, generation } = replicaSet.metadata ?? {}
  return [uid, generation, deployment?.metadata?.generation].join('/')
}

function untilOneMore(recent: readonly Pod[], nowWallMs: number): number {
  const oldest = Math.min(...recent.map(createdMs))
  return Number.isFinite(oldest) ? oldest + minuteMs - nowWallMs : minuteMs
}

interface Candidate {
  readonly pod: Pod
  readonly rules: MoveBackRules
}

/** The Pod of a ReplicaSet that comes back next: the one that would make way for a twin. */
function candidateOf(workload: Workload, scene: Scene, policy: MoveBackPolicy): Candidate | undefined {
  if (outThere(workload, scene).length === 0) return undefined
  const pod = nextToLeave(workload, scene.nowWallMs)
  const rules = isOnVirtualNode(pod, scene) ? policy.rulesOf(pod) : undefined
  if (!rules || whyNotMovable(pod, contextOf(pod, workload, scene)) !== undefined) return undefined
  return { pod, rules }
}

function outThere({ pods }: Workload, scene: Scene): readonly Pod[] {
  return pods.filter((pod) => pod.status?.phase === 'Running' && isOnVirtualNode(pod, scene))
}

/** Whether a Pod on a virtual node would be moved back, and when: a sentence for people. Decided as above. */
export function explainMoveBack(
  pod: Pod,
  view: MoveBackView,
  policy: MoveBackPolicy,
  nowWallMs: number,
): string | undefined {
  const scene = sceneOf(view, nowWallMs)
  if (!isOnVirtualNode(pod, scene)) return undefined
  const rules = policy.rulesOf(pod)
  if (!rules) return 'never: moving back is off for it'
  const workload = scene.workloads.get(controllerOf(pod)?.uid ?? '')
  const why = whyNotMovable(pod, contextOf(pod, workload, scene))
  if (why !== undefined || !workload) return `never, as things stand: ${why}`
  const twin = view.pods.find((other) => twinOf(other) === pod.metadata?.uid)
  if (twin) return `under way: ${twin.metadata?.name} is to take its place`
  const putOff = outThere(workload, scene).find((other) => putOffLeftMs(other, nowWallMs) > 0)
  if (putOff)
    return `not before ${putOff.metadata?.annotations?.[moveBackAfterAnnotation]}: it was tried in vain (events of ${putOff.metadata?.name})`
  const change = unsettled(workload)
  if (change !== undefined) return `not now: ${change}`
  const servers = serversWithRoom(asTwin(pod), scene.rooms, rules.reservePercent)
  const now = servers.length > 0 ? `${servers[0]} has now` : 'none has now'
  const reserve = rules.reservePercent > 0 ? ` and ${rules.reservePercent} % to spare` : ''
  return `once servers have had room for it${reserve} for ${rules.afterMs / 1000} s (${now})`
}
