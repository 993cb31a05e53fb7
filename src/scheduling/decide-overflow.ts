import { parseTimeMs } from '../model/clock.ts'
import type { Pod, Toleration } from '../model/kubernetes.ts'
import { virtualNodeTaintKey } from '../model/words.ts'
import { withPod, type ClusterPicture, type NodeRoom } from './cluster-picture.ts'
import { describeFits } from './describe-fits.ts'
import { fitOn, isServerFor, type Fit } from './fit.ts'
import { serviceWithLocalTraffic } from './local-traffic.ts'
import { nodeMatches, selectsNodes } from '../lifecycle/node-affinity.ts'
import { untoleratedTaints } from '../lifecycle/tolerations.ts'
import { candidacy } from './unschedulable.ts'

/** A pool as overflow sees it, in the order in which pools are tried. */
export interface OverflowPool {
  readonly name: string
  /** Why Pods like this one cannot run there (a feature that the backend lacks), undefined when they can. */
  refuses(pod: Pod): string | undefined
}

export interface OverflowRules {
  readonly pools: readonly OverflowPool[]
  /** How long a Pod stays Unschedulable before it goes out: room for a cluster autoscaler. */
  readonly waitMs: number
  /** How long a Pod for which preemption made room is left to it. */
  readonly nominatedWaitMs: number
  /** Let Pods out that a Service of `externalTrafficPolicy: Local` selects. */
  readonly allowLocalTraffic: boolean
}

export interface OverflowMoment {
  readonly nowWallMs: number
  /** Since when the Pod has had its `nominatedNodeName`, on the same clock; undefined when it has none. */
  readonly nominatedSinceMs: number | undefined
}

/** `because` is a sentence for people: of events, and of `explain`. */
export type OverflowDecision =
  | { readonly kind: 'send'; readonly pool: string; readonly because: string }
  /** Looked at again on every change of the cluster, and after that time at the latest. */
  | { readonly kind: 'wait'; readonly afterMs: number; readonly because: string }
  /** As things stand; a changed label, node or Service may change it. `notable`: worth an event on the Pod. */
  | { readonly kind: 'never'; readonly because: string; readonly notable: boolean }

/** The condition is not rewritten on every attempt of the scheduler's, so the next look needs a timer of ours. */
const lookAgainMs = 5_000

/** May this Pod go to a virtual node now, and of which pool? */
export function decideOverflow(
  pod: Pod,
  picture: ClusterPicture,
  rules: OverflowRules,
  moment: OverflowMoment,
): OverflowDecision {
  const candidate = candidacy(pod, picture.namespaces.get(pod.metadata?.namespace ?? ''))
  if (candidate.kind === 'none') return never('the scheduler has not refused it')
  if (candidate.kind === 'never') return never(candidate.because)
  const early = tooEarly(pod, rules, moment)
  if (early) return early
  const servers =
    candidate.placement === 'virtual' ? out('its placement is virtual') : decideByServers(pod, picture)
  if (servers.kind !== 'out') return servers
  if (candidate.placement === 'auto' && !rules.allowLocalTraffic) {
    const service = serviceWithLocalTraffic(pod, picture.services)
    if (service) {
      return notable(
        `${servers.because}, but Service ${service.metadata?.name} has externalTrafficPolicy Local: ` +
          'on a virtual node the Pod would get no traffic from outside',
      )
    }
  }
  return choosePool(pod, picture, rules.pools, servers.because)
}

type Out = { readonly kind: 'out'; readonly because: string }

function out(because: string): Out {
  return { kind: 'out', because }
}

function tooEarly(pod: Pod, rules: OverflowRules, moment: OverflowMoment): OverflowDecision | undefined {
  const { nowWallMs, nominatedSinceMs } = moment
  const nominatedLeftMs = (nominatedSinceMs ?? nowWallMs) + rules.nominatedWaitMs - nowWallMs
  if (pod.status?.nominatedNodeName && nominatedLeftMs > 0) {
    return wait(nominatedLeftMs, `preemption makes room for it on ${pod.status.nominatedNodeName}`)
  }
  const since = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled')?.lastTransitionTime
  const waitLeftMs = (since ? parseTimeMs(since) : nowWallMs) + rules.waitMs - nowWallMs
  return rules.waitMs > 0 && waitLeftMs > 0
    ? wait(waitLeftMs, `it goes out ${rules.waitMs / 1000} s after the scheduler refused it`)
    : undefined
}

/** Overflow needs servers that were meant for the Pod and lack room; a cluster without any counts as full. */
function decideByServers(pod: Pod, picture: ClusterPicture): Out | OverflowDecision {
  const rooms = picture.servers.filter((room) => isServerFor(pod, room))
  if (rooms.length === 0) return out('there is no server node')
  const fits = rooms.map((room) => fitOn(pod, room))
  const roomy = rooms[fits.findIndex(({ kind }) => kind === 'fits')]
  if (roomy) {
    return wait(
      lookAgainMs,
      `${roomy.name} has room for it: the scheduler's next look, or another reason than room`,
    )
  }
  const meant = fits.filter(({ kind }) => kind !== 'mismatch')
  if (meant.length > 0) return out(`no server has room (${describeFits(meant)})`)
  if (selectsNodes(pod) && virtualRooms(picture).some(({ node }) => nodeMatches(pod, node))) {
    return out('its node selector or affinity names virtual nodes')
  }
  return never(`no server is meant for it (${describeFits(fits)}), so room is not what it lacks`)
}

function virtualRooms(picture: ClusterPicture): NodeRoom[] {
  return [...picture.virtualNodes.values()].flat()
}

function choosePool(
  pod: Pod,
  picture: ClusterPicture,
  pools: readonly OverflowPool[],
  because: string,
): OverflowDecision {
  const reasons: string[] = []
  let mayChange = false
  for (const pool of pools) {
    const rooms = picture.virtualNodes.get(pool.name) ?? []
    const refusal = pool.refuses(pod)
    const fits = refusal === undefined ? rooms.map((room) => fitOn(withToleration(pod, pool.name), room)) : []
    if (fits.some(({ kind }) => kind === 'fits')) {
      if (!isLetIn(pod, rooms)) return { kind: 'send', pool: pool.name, because }
      // The scheduler comes to it by itself: every filter of its listens for nodes that come or change. Nothing could be
      // written into the Pod that wakes it sooner: since 1.32 only a change that concerns what refused it counts.
      return wait(lookAgainMs, `it may go to virtual nodes of pool ${pool.name} already`)
    }
    mayChange ||= refusal === undefined && fits.every(({ kind }) => kind !== 'mismatch')
    reasons.push(`pool ${pool.name}: ${refusal ?? describePool(fits)}`)
  }
  const all = `${because}, and no virtual node takes it (${reasons.join('; ') || 'there is no pool'})`
  return mayChange ? wait(lookAgainMs, all) : notable(all)
}

function describePool(fits: readonly Fit[]): string {
  return fits.length === 0 ? 'no node registered' : describeFits(fits)
}

/** The taint that our toleration is for does not keep the Pod off, by our toleration or by one of its own. */
function isLetIn(pod: Pod, rooms: readonly NodeRoom[]): boolean {
  return rooms.every(
    ({ node }) => !untoleratedTaints(pod, node).some(({ key }) => key === virtualNodeTaintKey),
  )
}

/** Lets a Pod onto the nodes of a pool. With the effect set it leaves the PreferNoSchedule taint untolerated. */
export function poolToleration(pool: string): Toleration {
  return { key: virtualNodeTaintKey, operator: 'Equal', value: pool, effect: 'NoSchedule' }
}

/** The Pod as it will be once it is let onto the pool's nodes. */
export function withToleration(pod: Pod, pool: string): Pod {
  const spec = pod.spec ?? { containers: [] }
  return { ...pod, spec: { ...spec, tolerations: [...(spec.tolerations ?? []), poolToleration(pool)] } }
}

/**
 * The picture with the Pods counted in that may go to a virtual node and are not bound yet, each on the first one that
 * holds it; else a burst would fill a pool as often as there are Pods.
 */
export function withSentPods(picture: ClusterPicture, unbound: readonly Pod[]): ClusterPicture {
  const virtualNodes = new Map(picture.virtualNodes)
  for (const pod of unbound) {
    for (const [pool, rooms] of virtualNodes) {
      const at = rooms.findIndex((room) => isLetIn(pod, [room]) && fitOn(pod, room).kind === 'fits')
      if (at < 0) continue
      virtualNodes.set(
        pool,
        rooms.map((room, index) => (index === at ? withPod(room, pod) : room)),
      )
      break
    }
  }
  return { ...picture, virtualNodes }
}

function wait(afterMs: number, because: string): OverflowDecision {
  return { kind: 'wait', afterMs, because }
}

function never(because: string): OverflowDecision {
  return { kind: 'never', because, notable: false }
}

function notable(because: string): OverflowDecision {
  return { kind: 'never', because, notable: true }
}
