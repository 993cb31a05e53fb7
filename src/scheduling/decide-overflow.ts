import { parseTimeMs } from '../model/clock.ts'
import type { Pod, Toleration } from '../model/kubernetes.ts'
import { virtualNodeTaintKey } from '../model/words.ts'
import { withPod, type ClusterPicture, type NodeRoom } from './cluster-picture.ts'
import { describeFits } from './describe-fits.ts'
import { fitOn, isServerFor, type Fit } from './fit.ts'
import { serviceWithLocalTraffic } from './local-traffic.ts'
import { nodeMatches, selectsNodes } from '../lifecycle/node-affinity.ts'
import { untoleratedTaints } from '../lifecycle/tolerations.ts'
import { candidacy, type Candidacy } from './unschedulable.ts'

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
  | Wait
  /** As things stand; a changed label, node or Service may change it. `notable`: worth an event on the Pod. */
  | { readonly kind: 'never'; readonly because: string; readonly notable: boolean }

interface Wait {
  readonly kind: 'wait'
  readonly afterMs: number
  readonly because: string
  /** It waits for the scheduler alone, and may go there. */
  readonly pool?: string
}

/** The condition is not rewritten on every attempt of the scheduler's, so the next look needs a timer of ours. */
const lookAgainMs = 5_000

/** One rule that was asked, in order; the first that does not pass decides. */
export interface RuleLine {
  readonly rule: 'eligible' | 'preemption' | 'waiting time' | 'servers' | 'local traffic' | `pool ${string}`
  readonly passes: boolean
  /** What was seen, a sentence for people. */
  readonly evidence: string
}

export interface Judgement {
  readonly decision: OverflowDecision
  readonly rules: readonly RuleLine[]
}

/** May this Pod go to a virtual node now, and of which pool? */
export function decideOverflow(
  pod: Pod,
  picture: ClusterPicture,
  rules: OverflowRules,
  moment: OverflowMoment,
): OverflowDecision {
  return judgeOverflow(pod, picture, rules, moment).decision
}

/** The same with the rules that led there, for `explain`: one function, so that the two cannot disagree. */
export function judgeOverflow(
  pod: Pod,
  picture: ClusterPicture,
  rules: OverflowRules,
  moment: OverflowMoment,
): Judgement {
  const candidate = candidacy(pod, picture.namespaces.get(pod.metadata?.namespace ?? ''))
  let question: Question = { pod, picture, rules, moment, candidate, because: '' }
  const asked: RuleLine[] = []
  for (const ask of [eligible, afterPreemption, waitingTime, noServer, localTraffic]) {
    const { rule, stop, evidence } = ask(question)
    asked.push({ rule, passes: stop === undefined, evidence })
    if (stop) return { decision: stop, rules: asked }
    if (rule === 'servers') question = { ...question, because: evidence }
  }
  const pools = choosePool(question)
  return { decision: pools.decision, rules: [...asked, ...pools.rules] }
}

interface Question {
  readonly pod: Pod
  readonly picture: ClusterPicture
  readonly rules: OverflowRules
  readonly moment: OverflowMoment
  readonly candidate: Candidacy
  /** Why no server takes it, once that has been asked. */
  readonly because: string
}

/** With `stop` the rule decides, and nothing is asked after it. */
type Answer = Omit<RuleLine, 'passes'> & { readonly stop?: OverflowDecision }

function stopped(rule: RuleLine['rule'], stop: OverflowDecision): Answer {
  return { rule, stop, evidence: stop.because }
}

function eligible({ candidate }: Question): Answer {
  const rule = 'eligible'
  if (candidate.kind === 'none') return stopped(rule, never('the scheduler has not refused it'))
  if (candidate.kind === 'never') return stopped(rule, never(candidate.because))
  return { rule, evidence: candidate.because }
}

function afterPreemption({ pod, rules, moment }: Question): Answer {
  const rule = 'preemption'
  const { nowWallMs, nominatedSinceMs } = moment
  const leftMs = (nominatedSinceMs ?? nowWallMs) + rules.nominatedWaitMs - nowWallMs
  const node = pod.status?.nominatedNodeName
  if (!node) return { rule, evidence: 'makes no room for it' }
  if (leftMs <= 0) return { rule, evidence: `was to make room for it on ${node}, and took too long` }
  return stopped(rule, wait(leftMs, `preemption makes room for it on ${node}`))
}

function waitingTime({ pod, rules: { waitMs }, moment: { nowWallMs } }: Question): Answer {
  const rule = 'waiting time'
  if (waitMs === 0) return { rule, evidence: 'there is none' }
  const since = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled')?.lastTransitionTime
  const leftMs = (since ? parseTimeMs(since) : nowWallMs) + waitMs - nowWallMs
  if (leftMs <= 0) return { rule, evidence: `of ${waitMs / 1000} s is over` }
  return stopped(rule, wait(leftMs, `it goes out ${waitMs / 1000} s after the scheduler refused it`))
}

function noServer({ pod, picture, candidate }: Question): Answer {
  const rule = 'servers'
  if (candidate.kind === 'candidate' && candidate.placement === 'virtual') {
    return { rule, evidence: 'its placement is virtual' }
  }
  const servers = decideByServers(pod, picture)
  return servers.kind === 'out' ? { rule, evidence: servers.because } : stopped(rule, servers)
}

function localTraffic({ pod, picture, rules, candidate, because }: Question): Answer {
  const rule = 'local traffic'
  if (candidate.kind === 'candidate' && candidate.placement === 'virtual') {
    return { rule, evidence: 'its placement is virtual' }
  }
  if (rules.allowLocalTraffic) return { rule, evidence: 'is allowed' }
  const service = serviceWithLocalTraffic(pod, picture.services)
  if (!service) return { rule, evidence: 'no Service of externalTrafficPolicy Local selects it' }
  const lost =
    `${because}, but Service ${service.metadata?.name} has externalTrafficPolicy Local: ` +
    'on a virtual node the Pod would get no traffic from outside'
  return stopped(rule, notable(lost))
}

type Out = { readonly kind: 'out'; readonly because: string }

function out(because: string): Out {
  return { kind: 'out', because }
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

function choosePool({ pod, picture, rules: { pools }, because }: Question): Judgement {
  const rules: RuleLine[] = []
  let mayChange = false
  for (const pool of pools) {
    const rooms = picture.virtualNodes.get(pool.name) ?? []
    const refusal = pool.refuses(pod)
    const fits = refusal === undefined ? rooms.map((room) => fitOn(withToleration(pod, pool.name), room)) : []
    const passes = fits.some(({ kind }) => kind === 'fits')
    rules.push({ rule: `pool ${pool.name}`, passes, evidence: refusal ?? describePool(fits) })
    if (passes) return { decision: goTo(pool.name, isLetIn(pod, rooms), because), rules }
    mayChange ||= refusal === undefined && fits.every(({ kind }) => kind !== 'mismatch')
  }
  const reasons = rules.map(({ rule, evidence }) => `${rule}: ${evidence}`).join('; ')
  const all = `${because}, and no virtual node takes it (${reasons || 'there is no pool'})`
  return { decision: mayChange ? wait(lookAgainMs, all) : notable(all), rules }
}

function goTo(pool: string, letIn: boolean, because: string): OverflowDecision {
  if (!letIn) return { kind: 'send', pool, because }
  // The scheduler comes to it by itself: every filter of its listens for nodes that come or change. Nothing could be
  // written into the Pod that wakes it sooner: since 1.32 only a change that concerns what refused it counts.
  return { ...wait(lookAgainMs, `it may go to virtual nodes of pool ${pool} already`), pool }
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

function wait(afterMs: number, because: string): Wait {
  return { kind: 'wait', afterMs, because }
}

function never(because: string): OverflowDecision {
  return { kind: 'never', because, notable: false }
}

function notable(because: string): OverflowDecision {
  return { kind: 'never', because, notable: true }
}
