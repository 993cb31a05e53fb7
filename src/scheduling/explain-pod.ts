import { controllerOf } from '../model/controller-of.ts'
import type { Pod } from '../model/kubernetes.ts'
import { parseResources, podRequests, type Resources } from '../model/resources.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../model/words.ts'
import { isOver, type ClusterPicture, type NodeRoom } from './cluster-picture.ts'
import { judgeOverflow, withToleration, type OverflowMoment, type OverflowRules } from './decide-overflow.ts'
import { honoursCost } from './deletion-cost.ts'
import { describeFits } from './describe-fits.ts'
import { fitOn, isServerFor } from './fit.ts'
import type { RuleLine } from './judgement.ts'
import { usesClaims } from './volumes.ts'

/**
 * Where a Pod goes.
 * - `server`: a server has room, and the scheduler is left to find it
 * - `virtual`: to a virtual node of `pool`
 * - `waits`: for something to change; it is looked at again
 * - `stays`: it stays Pending as things stand
 * - `bound`: it is on a node already, which `nodes` names
 * - `over`: it has ended
 */
export type Outcome = 'server' | 'virtual' | 'waits' | 'stays' | 'bound' | 'over'

export interface PodExplanation {
  readonly outcome: Outcome
  readonly because: string
  /** Undefined also where the scheduler may choose among several. */
  readonly pool: string | undefined
  /** Where it is, or where the scheduler will likely put it: those that its default scores hold equal together. */
  readonly nodes: readonly string[]
  /** In the order in which they were asked; the last one that does not pass has decided. */
  readonly rules: readonly RuleLine[]
  readonly says: readonly NodeAnswer[]
  /** When it leaves, if the kind that owns it shrinks. */
  readonly leaves: string
}

export interface NodeAnswer {
  readonly node: string
  /** Undefined: a server. */
  readonly pool: string | undefined
  readonly answer: string
}

/**
 * What happens to the Pod, and why: judged by the function that overflow decides with. A Pod that the scheduler has not
 * looked at yet goes to a server that has room, else it is judged as the one that it then is: refused. Pure.
 */
export function explainPod(
  pod: Pod,
  picture: ClusterPicture,
  rules: OverflowRules,
  moment: OverflowMoment,
): PodExplanation {
  const common = { says: answers(pod, picture), leaves: leaving(pod) }
  const none = { pool: undefined, nodes: [], rules: [] }
  if (isOver(pod)) return { outcome: 'over', because: `it is ${pod.status?.phase}`, ...none, ...common }
  const node = pod.spec?.nodeName
  if (node)
    return { outcome: 'bound', because: boundBecause(node, picture), ...none, nodes: [node], ...common }
  const servers = picture.servers.filter((room) => isServerFor(pod, room))
  const asked = asIfRefused(pod)
  const unasked = asked === pod ? [] : likely(pod, servers)
  if (unasked.length > 0) {
    // Nothing of ours is asked before the scheduler has refused it, whatever its labels say.
    const room = `${unasked[0]} has room for it, and the scheduler finds that by itself`
    const isUnknown = usesClaims(pod) && !picture.volumes
    const because = isUnknown ? `${room}; where its volumes may be is not known` : room
    const rule = { rule: 'servers', passes: false, evidence: because } as const
    return { outcome: 'server', because, pool: undefined, nodes: unasked, rules: [rule], ...common }
  }
  const { decision, rules: lines } = judgeOverflow(asked, picture, rules, moment)
  const judged = { because: decision.because, rules: lines, ...common }
  if (decision.kind === 'send') {
    const { pool } = decision
    const rooms = picture.virtualNodes.get(pool) ?? []
    return { outcome: 'virtual', pool, nodes: likely(withToleration(asked, pool), rooms), ...judged }
  }
  if (decision.kind === 'wait' && decision.pool !== undefined) {
    return { outcome: 'virtual', ...letIn(asked, picture), ...judged }
  }
  // The scheduler has refused a Pod that waits for more than its next look; with a volume mostly for the volume's place.
  if (
    decision.kind === 'wait' &&
    lines.at(-1)?.rule === 'servers' &&
    !(usesClaims(pod) && !picture.volumes)
  ) {
    return { outcome: 'server', pool: undefined, nodes: likely(asked, servers), ...judged }
  }
  return { outcome: decision.kind === 'wait' ? 'waits' : 'stays', pool: undefined, nodes: [], ...judged }
}

/** Where the scheduler puts a Pod that needs nobody's leave: it may choose among all pools whose taint is tolerated. */
function letIn(pod: Pod, { virtualNodes }: ClusterPicture): Pick<PodExplanation, 'pool' | 'nodes'> {
  const open = [...virtualNodes].filter(([, rooms]) => rooms.some((room) => fitOn(pod, room).kind === 'fits'))
  const nodes = likely(
    pod,
    open.flatMap(([, rooms]) => rooms),
  )
  return { pool: open.length === 1 ? open[0]?.[0] : undefined, nodes }
}

/** The Pod as it is once the scheduler has found no server for it. */
function asIfRefused(pod: Pod): Pod {
  if (pod.status?.conditions?.some(({ type }) => type === 'PodScheduled')) return pod
  const refused = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable' } as const
  return {
    ...pod,
    status: { ...pod.status, conditions: [...(pod.status?.conditions ?? []), refused] },
  }
}

function answers(pod: Pod, { servers, virtualNodes }: ClusterPicture): readonly NodeAnswer[] {
  const unbound = pod.spec?.nodeName ? { ...pod, spec: { ...pod.spec, nodeName: '' } } : pod
  const answer = (room: NodeRoom, pool: string | undefined): NodeAnswer => {
    const asking = pool === undefined ? unbound : withToleration(unbound, pool)
    const fit = fitOn(asking, room)
    const text =
      fit.kind === 'mismatch' ? `not meant for it: ${fit.why}` : describeFits([fit]).replace(/^1 /, '')
    return { node: room.name, pool, answer: text }
  }
  return [
    ...servers.map((room) => answer(room, undefined)),
    ...[...virtualNodes].flatMap(([pool, rooms]) => rooms.map((room) => answer(room, pool))),
  ].sort((a, b) => (a.pool ?? '').localeCompare(b.pool ?? '') || byName(a.node, b.node))
}

function boundBecause(node: string, { servers, virtualNodes }: ClusterPicture): string {
  const pool = [...virtualNodes].find(([, rooms]) => rooms.some(({ name }) => name === node))?.[0]
  if (pool !== undefined) return `it is on virtual node ${node} of pool ${pool}`
  return servers.some(({ name }) => name === node)
    ? `it is on server ${node}`
    : `it is on ${node}, which is not known here`
}

/** Of those that take it the best by the scheduler's default score, NodeResourcesFit LeastAllocated, in whole points. */
function likely(pod: Pod, rooms: readonly NodeRoom[]): readonly string[] {
  const requests = podRequests(pod)
  const scored = rooms
    .filter((room) => fitOn(pod, room).kind === 'fits')
    .map((room) => ({ name: room.name, points: leastAllocated(room, requests) }))
  const best = Math.max(...scored.map(({ points }) => points))
  return scored
    .filter(({ points }) => points === best)
    .map(({ name }) => name)
    .sort(byName)
}

/** `burst-2` before `burst-10`. */
function byName(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

function leastAllocated({ node, free }: NodeRoom, requests: Resources): number {
  const all = parseResources(node.status?.allocatable)
  const share = (left: bigint, of: bigint): number => (of > 0n ? Math.floor(Number((left * 100n) / of)) : 0)
  const cpu = share(free.cpuMillis - requests.cpuMillis, all.cpuMillis)
  const memory = share(free.memoryBytes - requests.memoryBytes, all.memoryBytes)
  return Math.floor((cpu + memory) / 2)
}

/** The truth per kind; only what honours a deletion cost can be told to let virtual Pods go first. */
function leaving(pod: Pod): string {
  const owner = controllerOf(pod)
  if (!owner) return 'nobody scales it: it stays until it ends or is deleted'
  const { [deletionCostAnnotation]: cost, [deletionCostSetAnnotation]: ours } =
    pod.metadata?.annotations ?? {}
  const own = ours === undefined ? cost : undefined
  if (honoursCost(owner.kind)) {
    return own === undefined
      ? `when its ${owner.kind} shrinks, those on virtual nodes leave before those on servers that are equally ready`
      : `when its ${owner.kind} shrinks, its deletion cost of ${own} decides`
  }
  if (owner.kind === 'StatefulSet') return 'a StatefulSet removes its highest ordinal first, wherever that is'
  if (owner.kind === 'Job') return 'a Job’s Pods leave when they have ended'
  return `its ${owner.kind} decides which of its Pods leaves, and is not asked to let those on virtual nodes go first`
}
