import { parseTimeMs } from '../model/clock.ts'
import type { Pod, Toleration } from '../model/kubernetes.ts'
import { virtualNodeTaintKey } from '../model/words.ts'
import type { BurstSource } from './burst/burst-source.ts'
import type { PricedPool } from './burst/accounts.ts'
import { budgetRefusal, doorRefusal, type BudgetQuestion, type BudgetRefusal } from './burst/budget-rules.ts'
import { policyAnswer, quietAnswer, replicasAnswer, rulingOn, type Ruling } from './burst/burst-rules.ts'
import { withPod, type ClusterPicture, type NodeRoom } from './cluster-picture.ts'
import { describeFits } from './describe-fits.ts'
import { fitOn, isServerFor, type Fit } from './fit.ts'
import { serviceWithLocalTraffic } from './local-traffic.ts'
import { nodeMatches, selectsNodes } from '../lifecycle/node-affinity.ts'
import { untoleratedTaints } from '../lifecycle/tolerations.ts'
import {
  lookAgainMs,
  never,
  notable,
  stopped,
  wait,
  type Answer,
  type Judgement,
  type OverflowDecision,
  type RuleLine,
} from './judgement.ts'
import { candidacy, type Candidacy } from './unschedulable.ts'

/** A pool as overflow sees it, in the order in which pools are tried. */
export interface OverflowPool extends PricedPool {
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
  /** All that is asked about one pool alone. */
  readonly only?: string
  /** Left out: there are no burst policies. */
  readonly bursts?: BurstSource
}

export interface OverflowMoment {
  readonly nowWallMs: number
  /** Since when the Pod has had its `nominatedNodeName`, on the same clock; undefined when it has none. */
  readonly nominatedSinceMs: number | undefined
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
  let question = questionOf(pod, picture, rules, moment)
  const asked: RuleLine[] = []
  for (const ask of inTurn) {
    const answer = ask(question)
    if (!answer) continue
    const { rule, stop, evidence } = answer
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
  /** What burst policies come to for it; undefined where nobody reads them. */
  readonly ruling: Ruling | undefined
  /** By label, or else by policy. */
  readonly placement: 'auto' | 'virtual'
  /** Why no server takes it, once that has been asked. */
  readonly because: string
}

function questionOf(
  pod: Pod,
  picture: ClusterPicture,
  rules: OverflowRules,
  moment: OverflowMoment,
): Question {
  const home = picture.namespaces.get(pod.metadata?.namespace ?? '')
  const candidate = candidacy(pod, home)
  const said = candidate.kind === 'candidate' ? candidate : { placement: 'auto' as const, labelled: false }
  const { placement, labelled } = said
  const ruling = picture.bursts && rulingOn({ pod, home, labelled, bursts: picture.bursts })
  const isAlways = !labelled && ruling?.applied?.spec.mode === 'Always'
  const common = { pod, picture, rules, moment, candidate, ruling, because: '' }
  return { ...common, placement: isAlways ? 'virtual' : placement }
}

/** The rules before the pools, in the order in which they are asked. One that has nothing to say makes no line. */
const inTurn: readonly ((question: Question) => Answer | undefined)[] = [
  eligible,
  ({ ruling, picture }) => ruling && picture.bursts && policyAnswer(ruling, picture.bursts),
  ({ ruling, moment }) => ruling && quietAnswer(ruling, moment.nowWallMs),
  afterPreemption,
  waitingTime,
  noServer,
  localTraffic,
  ({ ruling, pod, placement, picture: { bursts } }) =>
    ruling && bursts && replicasAnswer(ruling, { pod, placement, bursts }),
]

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

function waitingTime({ pod, rules, ruling, placement, moment: { nowWallMs } }: Question): Answer {
  const rule = 'waiting time'
  if (placement === 'virtual') return { rule, evidence: 'none for who is to be on a virtual node' }
  const waitMs = ruling?.applied ? ruling.applied.spec.waitSeconds * 1000 : rules.waitMs
  if (waitMs === 0) return { rule, evidence: 'there is none' }
  const since = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled')?.lastTransitionTime
  const leftMs = (since ? parseTimeMs(since) : nowWallMs) + waitMs - nowWallMs
  if (leftMs <= 0) return { rule, evidence: `of ${waitMs / 1000} s is over` }
  return stopped(rule, wait(leftMs, `it goes out ${waitMs / 1000} s after the scheduler refused it`))
}

function noServer({ pod, picture, candidate, placement }: Question): Answer {
  const rule = 'servers'
  if (placement === 'virtual') return { rule, evidence: virtualBecause(candidate) }
  const servers = decideByServers(pod, picture)
  return servers.kind === 'out' ? { rule, evidence: servers.because } : stopped(rule, servers)
}

function virtualBecause(candidate: Candidacy): string {
  const isByLabel = candidate.kind === 'candidate' && candidate.placement === 'virtual'
  return isByLabel ? 'its placement is virtual' : 'its policy says Always'
}

function localTraffic({ pod, picture, rules, candidate, placement, because }: Question): Answer {
  const rule = 'local traffic'
  if (placement === 'virtual') return { rule, evidence: virtualBecause(candidate) }
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
  if (fits.some((fit) => fit.kind === 'mismatch' && fit.isVolume) && isInReachOfVirtual(pod, picture)) {
    return out('it has a volume that no server reaches, and virtual nodes do')
  }
  return never(`no server is meant for it (${describeFits(fits)}), so room is not what it lacks`)
}

/** A Pod that was on a virtual node may have left a volume where that is. */
function isInReachOfVirtual(pod: Pod, picture: ClusterPicture): boolean {
  return virtualRooms(picture).some(({ node }) => picture.volumes?.keepOff(pod, node) === undefined)
}

function virtualRooms(picture: ClusterPicture): NodeRoom[] {
  return [...picture.virtualNodes.values()].flat()
}

function choosePool(question: Question): Judgement {
  const { pod, picture, because } = question
  const rules: RuleLine[] = []
  let mayChange = false
  let tooDear: BudgetRefusal | undefined
  for (const { name, pool } of poolsInOrder(question)) {
    const rooms = picture.virtualNodes.get(name) ?? []
    const refusal = pool ? pool.refuses(pod) : 'there is no such pool'
    const asking = withToleration(pod, name)
    const fits = refusal === undefined ? rooms.map((room) => fitOn(asking, room)) : []
    const hasRoom = fits.some(({ kind }) => kind === 'fits')
    const letIn = hasRoom && isLetIn(pod, rooms)
    // Whoever may go there already is counted, and cannot be kept from it.
    const budget = pool && hasRoom && !letIn ? refusedByBudget(question, pool) : undefined
    const door = pool && letIn ? refusedAtDoor(question, pool) : undefined
    const room = door
      ? `${describePool(fits)}, but its node has to wait for money: ${door.evidence}`
      : describePool(fits)
    const evidence = refusal ?? budget?.evidence ?? room
    const passes = hasRoom && !budget
    rules.push({ rule: `pool ${name}`, passes, evidence })
    if (passes) return { decision: goTo(name, letIn, because), rules }
    tooDear ??= budget
    mayChange ||= refusal === undefined && fits.every(({ kind }) => kind !== 'mismatch')
  }
  const reasons = rules.map(({ rule, evidence }) => `${rule}: ${evidence}`).join('; ')
  const all = `${because}, and no virtual node takes it (${reasons || 'there is no pool'})`
  if (tooDear) return { decision: { ...wait(lookAgainMs, all), heldBy: tooDear.heldBy }, rules }
  return { decision: mayChange ? wait(lookAgainMs, all) : notable(all), rules }
}

interface NamedPool {
  readonly name: string
  /** Undefined: a policy names it, and there is none. */
  readonly pool: OverflowPool | undefined
}

/** All in their order; or those that the policy names, in its. */
function poolsInOrder({ rules, ruling }: Question): readonly NamedPool[] {
  const names = ruling?.applied?.spec.pools ?? rules.pools.map(({ name }) => name)
  return names
    .filter((name) => rules.only === undefined || name === rules.only)
    .map((name) => ({ name, pool: rules.pools.find((pool) => pool.name === name) }))
}

function refusedByBudget(question: Question, pool: OverflowPool): BudgetRefusal | undefined {
  const asked = budgetQuestion(question)
  return asked && budgetRefusal(pool, asked)
}

/** It may go there by itself, and finds this when it comes. */
function refusedAtDoor(question: Question, pool: OverflowPool): BudgetRefusal | undefined {
  const asked = budgetQuestion(question)
  return asked && doorRefusal(pool, asked)
}

function budgetQuestion({
  pod,
  picture: { bursts, namespaces },
  moment,
}: Question): BudgetQuestion | undefined {
  const home = namespaces.get(pod.metadata?.namespace ?? '')
  return bursts && { pod, home, bursts, nowMs: moment.nowWallMs }
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
