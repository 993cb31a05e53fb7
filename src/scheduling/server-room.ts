import type { Pod } from '../model/kubernetes.ts'
import { noResources, parseResources, subtract } from '../model/resources.ts'
import { isOver, withPod, type ClusterPicture, type NodeRoom } from './cluster-picture.ts'
import { fitOn, isServerFor } from './fit.ts'

/** In a crowd like that nobody comes back, and nobody has to know by how much. */
const mostWaiting = 50

/**
 * The servers of a picture with all those Pods on them that wait for a place there, so that who comes back takes it from
 * nobody: each on the first server that holds it; who finds none keeps every server that would hold it if it were empty.
 */
export function afterThoseWhoWait(
  { servers }: Pick<ClusterPicture, 'servers'>,
  pods: readonly Pod[],
): readonly NodeRoom[] {
  const waiting = pods.filter(waits)
  if (waiting.length > mostWaiting) return []
  let rooms = servers
  const contested = new Set<string>()
  for (const pod of waiting) {
    const at = rooms.findIndex((room) => isServerFor(pod, room) && fitOn(pod, room).kind === 'fits')
    if (at >= 0) rooms = rooms.map((room, index) => (index === at ? withPod(room, pod) : room))
    else
      for (const room of rooms)
        if (isServerFor(pod, room) && fitsWhenEmpty(pod, room)) contested.add(room.name)
  }
  return rooms.filter(({ name }) => !contested.has(name))
}

function waits(pod: Pod): boolean {
  const { spec, metadata } = pod
  return (
    !spec?.nodeName &&
    !metadata?.deletionTimestamp &&
    (spec?.schedulingGates ?? []).length === 0 &&
    !isOver(pod)
  )
}

function fitsWhenEmpty(pod: Pod, room: NodeRoom): boolean {
  const { allocatable = {} } = room.node.status ?? {}
  const free = parseResources(allocatable)
  const { keepOff: _, ...alone } = room
  const empty = {
    ...alone,
    free,
    freePods: Number(allocatable['pods'] ?? '0'),
    portsTaken: [],
    nominated: [],
  }
  return fitOn(pod, empty).kind === 'fits'
}

/**
 * The servers that take the Pod and keep a reserve of that many percent of their processors and memory. Without a reserve a
 * load at the edge would send out tomorrow what came back today.
 */
export function serversWithRoom(
  pod: Pod,
  rooms: readonly NodeRoom[],
  reservePercent: number,
): readonly string[] {
  return rooms
    .filter((room) => isServerFor(pod, room) && fitOn(pod, withReserve(room, reservePercent)).kind === 'fits')
    .map(({ name }) => name)
}

function withReserve(room: NodeRoom, percent: number): NodeRoom {
  const { cpuMillis, memoryBytes } = parseResources(room.node.status?.allocatable)
  const share = (amount: bigint): bigint => (amount * BigInt(percent)) / 100n
  const reserve = { ...noResources, cpuMillis: share(cpuMillis), memoryBytes: share(memoryBytes) }
  return { ...room, free: subtract(room.free, reserve) }
}

/**
 * The lowest priority of Pods on those servers; undefined: none is there. A Pod of a higher one that does not find its
 * place all the same (spread, affinity, somebody was faster) would put them out of theirs.
 */
export function lowestPriorityOn(servers: readonly NodeRoom[], pods: readonly Pod[]): number | undefined {
  const names = new Set(servers.map(({ name }) => name))
  const priorities = pods
    .filter((pod) => names.has(pod.spec?.nodeName ?? '') && !isOver(pod))
    .map(({ spec }) => spec?.priority ?? 0)
  return priorities.length === 0 ? undefined : Math.min(...priorities)
}
