import type { Pod } from '../model/kubernetes.ts'
import { podRequests, shortages } from '../model/resources.ts'
import { roomFor, withPod, type NodeRoom } from './cluster-picture.ts'
import { hostPortsOf, portsClash } from '../lifecycle/host-ports.ts'
import { nodeMatches } from '../lifecycle/node-affinity.ts'
import { untoleratedTaints } from '../lifecycle/tolerations.ts'

/**
 * What a node says to a Pod.
 * - `fits`
 * - `full`: meant for it, and lacks room; `lacking` in the words of resource names, `pods`, `ports`, or the rule by which
 *   those who are there keep it off
 * - `away`: meant for it, and takes nothing just now (cordoned, not ready, under pressure)
 * - `mismatch`: not meant for it, however empty
 */
export type Fit =
  | { readonly kind: 'fits' }
  | { readonly kind: 'full'; readonly lacking: readonly string[] }
  | { readonly kind: 'away'; readonly why: string }
  | { readonly kind: 'mismatch'; readonly why: string; readonly isVolume?: true }

/**
 * The filters that can be told from Pods, nodes and volumes. The scheduler stays the judge: what is missing here (devices by
 * claim, the capacity of storage drivers) makes us wait or lets it refuse, and never sends a Pod out by mistake.
 */
export function fitOn(pod: Pod, room: NodeRoom): Fit {
  const why = mismatch(pod, room)
  if (why) return { kind: 'mismatch', why }
  const away = unavailable(pod, room)
  if (away) return { kind: 'away', why: away }
  const kept = room.keepOff?.(pod)
  if (kept?.isForGood) return { kind: 'mismatch', why: kept.why, ...(kept.isVolume && { isVolume: true }) }
  const lacking = [...shortagesOn(pod, room), ...(kept ? [`a place by ${kept.why}`] : [])]
  return lacking.length > 0 ? { kind: 'full', lacking } : { kind: 'fits' }
}

function mismatch(pod: Pod, { node, name }: NodeRoom): string | undefined {
  if (pod.spec?.nodeName && pod.spec.nodeName !== name) return 'the Pod names another node'
  const taint = untoleratedTaints(pod, node).find(({ key }) => !isLifecycleTaint(key))
  if (taint) return `taint ${taint.key}`
  return nodeMatches(pod, node) ? undefined : 'node selector or affinity'
}

/**
 * `node.kubernetes.io/*` taints mirror the node's state (node lifecycle controller, cloud providers): such a node is
 * one that the Pod was meant for, and that comes back.
 */
function isLifecycleTaint(key: string): boolean {
  return key.startsWith('node.kubernetes.io/') || key === 'node.cloudprovider.kubernetes.io/uninitialized'
}

function unavailable(pod: Pod, { node }: NodeRoom): string | undefined {
  const taints = untoleratedTaints(pod, node)
  if (node.spec?.unschedulable && !toleratesCordon(pod)) return 'cordoned'
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')
  if (ready?.status !== 'True') return 'not ready'
  return taints[0] && `taint ${taints[0].key}`
}

function toleratesCordon(pod: Pod): boolean {
  const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
  return untoleratedTaints(pod, { spec: { taints: [taint] } }).length === 0
}

function shortagesOn(pod: Pod, room: NodeRoom): string[] {
  const left = afterNominated(pod, roomFor(pod, room))
  const short = shortages(podRequests(pod), left.free)
  if (left.freePods < 1) short.push('pods')
  const wanted = hostPortsOf(pod)
  if (wanted.some((port) => left.portsTaken.some((taken) => portsClash(port, taken)))) short.push('ports')
  return short
}

/** Room that preemption made for others: a Pod of lower priority must not count on it (framework/runtime, two passes). */
function afterNominated(pod: Pod, room: NodeRoom): NodeRoom {
  return room.nominated
    .filter((other) => other.metadata?.uid !== pod.metadata?.uid && priority(other) >= priority(pod))
    .reduce(withPod, room)
}

function priority(pod: Pod): number {
  return pod.spec?.priority ?? 0
}

/** Whether a node is a server for this Pod at all: a control-plane node that keeps workloads off is none. */
export function isServerFor(pod: Pod, { node }: NodeRoom): boolean {
  return !untoleratedTaints(pod, node).some(({ key }) =>
    ['node-role.kubernetes.io/control-plane', 'node-role.kubernetes.io/master'].includes(key),
  )
}
