import { isDeepStrictEqual } from 'node:util'
import type { Namespace, Node, Pod, Service } from '../model/kubernetes.ts'
import {
  add,
  boundPodRequests,
  noResources,
  parseResources,
  podRequests,
  subtract,
  type Resources,
} from '../model/resources.ts'
import { poolLabel, virtualNodeType } from '../model/words.ts'
import { hostPortsOf, type HostPort } from '../lifecycle/host-ports.ts'
import { Neighbours, type KeptOff } from './neighbours.ts'
import { Volumes, type VolumeObjects } from './volumes.ts'
import type { BurstPicture } from './burst/burst-picture.ts'

/** A node and what is left on it. */
export interface NodeRoom {
  readonly node: Node
  readonly name: string
  readonly free: Resources
  readonly freePods: number
  readonly portsTaken: readonly HostPort[]
  /** Pods that preemption made room for here, not bound yet: they count against Pods of no higher priority. */
  readonly nominated: readonly Pod[]
  /** Pods that were counted in though they are not bound yet. Left out: none. */
  readonly expected?: readonly Pod[]
  /** Whom the Pods that are here and elsewhere, and its own volumes, keep off. Without those that this moment is about to place. */
  readonly keepOff?: (pod: Pod) => KeptOff | undefined
}

/** The cluster as overflow sees it at one moment. */
export interface ClusterPicture {
  readonly servers: readonly NodeRoom[]
  /** Virtual nodes of ours by pool. */
  readonly virtualNodes: ReadonlyMap<string, readonly NodeRoom[]>
  readonly namespaces: ReadonlyMap<string, Namespace>
  readonly services: readonly Service[]
  /** Left out where it is not known where volumes are. */
  readonly volumes?: Volumes
  /** Left out where nobody reads burst policies. */
  readonly bursts?: BurstPicture
}

export interface ClusterObjects {
  readonly nodes: readonly Node[]
  readonly pods: readonly Pod[]
  readonly namespaces: readonly Namespace[]
  readonly services: readonly Service[]
  /** Left out or undefined: not known. */
  readonly volumes?: VolumeObjects | undefined
}

/** The pool of a virtual node of ours. A server that somebody gave the pool's label is still a server. */
export function poolOf(node: Node): string | undefined {
  const labels = node.metadata?.labels ?? {}
  return labels['type'] === virtualNodeType ? labels[poolLabel] : undefined
}

/** Virtual nodes of other makers are no servers: that they have room keeps nobody in. */
export function isServer(node: Node): boolean {
  return node.metadata?.labels?.['type'] !== virtualNodeType
}

interface Held {
  resources: Resources
  pods: number
  readonly ports: HostPort[]
  readonly nominated: Pod[]
}

/**
 * What every node has left: allocatable minus the requests of all Pods bound to it that are not over. A terminating
 * Pod still holds its share, as the scheduler sees it.
 */
export function pictureOf(objects: ClusterObjects): ClusterPicture {
  const held = new Map<string, Held>()
  const heldOn = (name: string): Held => {
    const found = held.get(name) ?? { resources: noResources, pods: 0, ports: [], nominated: [] }
    held.set(name, found)
    return found
  }
  for (const pod of objects.pods) {
    if (isOver(pod)) continue
    const nodeName = pod.spec?.nodeName
    if (nodeName) hold(heldOn(nodeName), pod)
    else if (pod.status?.nominatedNodeName) heldOn(pod.status.nominatedNodeName).nominated.push(pod)
  }
  const namespaces = new Map(objects.namespaces.map((found) => [found.metadata?.name ?? '', found]))
  const bound = objects.pods.filter((pod) => pod.spec?.nodeName && !isOver(pod))
  const neighbours = new Neighbours({ nodes: objects.nodes, pods: bound, namespaces })
  const volumes = objects.volumes && new Volumes(objects.volumes, bound)
  const servers: NodeRoom[] = []
  const virtualNodes = new Map<string, NodeRoom[]>()
  for (const node of objects.nodes) {
    const keepOff = (pod: Pod): KeptOff | undefined =>
      volumes?.keepOff(pod, node) ?? neighbours.keepOff(pod, node)
    const room = { ...roomOf(node, heldOn(node.metadata?.name ?? '')), keepOff }
    const pool = poolOf(node)
    if (pool !== undefined) virtualNodes.set(pool, [...(virtualNodes.get(pool) ?? []), room])
    else if (isServer(node)) servers.push(room)
  }
  return { servers, virtualNodes, namespaces, services: objects.services, ...(volumes && { volumes }) }
}

function hold(held: Held, pod: Pod): void {
  held.resources = add(held.resources, boundPodRequests(pod))
  held.pods += 1
  held.ports.push(...hostPortsOf(pod))
}

function roomOf(node: Node, held: Held): NodeRoom {
  const allocatable = node.status?.allocatable ?? {}
  return {
    node,
    name: node.metadata?.name ?? '',
    free: subtract(parseResources(allocatable), held.resources),
    freePods: Number(allocatable['pods'] ?? '0') - held.pods,
    portsTaken: held.ports,
    nominated: held.nominated,
  }
}

/** The same node after one more Pod came to it. */
export function withPod(room: NodeRoom, pod: Pod): NodeRoom {
  return {
    ...room,
    free: subtract(room.free, podRequests(pod)),
    freePods: room.freePods - 1,
    portsTaken: [...room.portsTaken, ...hostPortsOf(pod)],
    nominated: room.nominated.filter((other) => other.metadata?.uid !== pod.metadata?.uid),
    expected: [...(room.expected ?? []), pod],
  }
}

/** The same node as the Pod itself finds it: where it was counted in, it does not stand in its own way. */
export function roomFor(pod: Pod, room: NodeRoom): NodeRoom {
  // A Pod that is not there yet has no UID, and is none of the others without one.
  const uid = pod.metadata?.uid
  const counted = uid && room.expected?.find(({ metadata }) => metadata?.uid === uid)
  if (!counted) return room
  // It was counted in because it fitted: these ports are nobody else's.
  const ports = hostPortsOf(counted)
  return {
    ...room,
    free: add(room.free, podRequests(counted)),
    freePods: room.freePods + 1,
    portsTaken: room.portsTaken.filter((taken) => !ports.some((port) => isDeepStrictEqual(port, taken))),
  }
}

export function isOver({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}
