import type { Namespace, Pod } from '../../model/kubernetes.ts'
import { lookAgainMs, stopped, wait, type Answer, type HeldBy, type Wait } from '../judgement.ts'
import { selects, type BurstPolicy } from './burst-policy.ts'
import { selectedOf } from './accounts.ts'
import type { BurstPicture } from './burst-picture.ts'
import { quietAt } from './quiet-hours.ts'
import { noCount, toleratesVirtualNodes, workloadKey } from './workload-counts.ts'

/** What the policies come to for one Pod. */
export interface Ruling {
  /**
   * The one that says how the Pod goes: of its namespace before the cluster's, then by inOrder. One policy counts as a
   * whole; fields of several are not mixed, since nobody could tell then what holds.
   */
  readonly applied: BurstPolicy | undefined
  /** The others that select it, in order. */
  readonly passedOver: readonly BurstPolicy[]
  /** Those with caps on spend: they are limits, so that all of them hold, whoever is applied. */
  readonly capped: readonly BurstPolicy[]
  /** A label of the Pod or of its namespace says where it goes, and takes the place of mode, wait and quiet hours. */
  readonly labelled: boolean
  /** It tolerates virtual nodes, by our leave or without: no policy can hold it any more. */
  readonly isOut: boolean
}

export interface RulingQuestion {
  readonly pod: Pod
  readonly home: Namespace | undefined
  readonly labelled: boolean
  readonly bursts: BurstPicture
}

export function rulingOn({ pod, home, labelled, bursts }: RulingQuestion): Ruling {
  const selecting = (bursts.policies ?? []).filter((policy) => selects(policy, selectedOf(pod), home))
  const [applied, ...passedOver] = selecting
  const capped = selecting.filter(({ spec }) => spec.spend)
  return { applied, passedOver, capped, labelled, isOut: toleratesVirtualNodes(pod) }
}

/** Which policy counts, and whether it lets the Pod out at all. Undefined: there are no policies. */
export function policyAnswer(ruling: Ruling, bursts: BurstPicture): Answer | undefined {
  const rule = 'policy'
  const { applied, labelled, isOut } = ruling
  if (bursts.policies === undefined) {
    if (isOut) return { rule, evidence: 'they are not known yet, and it tolerates virtual nodes already' }
    return stopped(rule, wait(lookAgainMs, 'burst policies are not known yet'))
  }
  if (bursts.policies.length === 0) return undefined
  if (!applied) return { rule, evidence: 'none selects it' }
  const { title, spec, problems } = applied
  const said = problems.length > 0 ? `${title} cannot be read (${problems[0]})` : `${title} says ${spec.mode}`
  const evidence = `${said}${ranking(ruling)}`
  if (labelled) return { rule, evidence: `the label counts before it: ${evidence}` }
  if (spec.mode !== 'Never') return { rule, evidence }
  if (isOut)
    return { rule, evidence: `${evidence}, but it tolerates virtual nodes already: nothing holds it` }
  const stop = { kind: 'never', because: evidence, notable: true } as const
  return stopped(rule, { ...stop, heldBy: held(applied, 'mode', said) })
}

function ranking({ passedOver, capped, applied }: Ruling): string {
  const titles = passedOver.map(({ title }) => title).join(', ')
  const limits = capped.filter((policy) => policy !== applied).map(({ title }) => title)
  return [
    passedOver.length > 0 && `, before ${titles}`,
    limits.length > 0 && `, whose caps on spend hold all the same: ${limits.join(', ')}`,
  ]
    .filter(Boolean)
    .join('')
}

export function quietAnswer({ applied, labelled, isOut }: Ruling, nowWallMs: number): Answer | undefined {
  const rule = 'quiet hours'
  const windows = applied?.spec.quietHours ?? []
  if (!applied || windows.length === 0) return undefined
  const quiet = quietAt(windows, nowWallMs)
  if (!quiet) return { rule, evidence: `it is none of ${windows.map(({ text }) => text).join('; ')}` }
  const text = `it is ${quiet.window.text}`
  if (labelled) return { rule, evidence: `${text}, and the label counts before it` }
  if (isOut) return { rule, evidence: `${text}, but it tolerates virtual nodes already` }
  const because = `${applied.title}: ${text}, and no Pod goes out`
  return stopped(rule, {
    ...wait(quiet.againInMs, because),
    heldBy: held(applied, 'quiet hours', because),
  })
}

/** How many of the workload are where. */
export function replicasAnswer(
  { applied, isOut }: Ruling,
  {
    pod,
    placement,
    bursts,
  }: { readonly pod: Pod; readonly placement: 'auto' | 'virtual'; readonly bursts: BurstPicture },
): Answer | undefined {
  const rule = 'replicas'
  const { maxVirtualReplicas, minServerReplicas = 0 } = applied?.spec ?? {}
  if (!applied || (maxVirtualReplicas === undefined && minServerReplicas === 0)) return undefined
  const { virtual, server } = bursts.counts.get(workloadKey(pod)) ?? noCount
  const of = `of ${workloadKey(pod)}`
  const atMost = maxVirtualReplicas === undefined ? '' : ` of at most ${maxVirtualReplicas}`
  const evidence = `${virtual}${atMost} ${of} are on virtual nodes or may go there, ${server} on servers`
  if (isOut) return { rule, evidence: `${evidence}; it counts among the former` }
  const hold = (told: string): Answer => {
    const because = `${applied.title}: ${told}`
    const stop: Wait = { ...wait(lookAgainMs, because), heldBy: held(applied, 'replicas', because) }
    return stopped(rule, stop)
  }
  if (maxVirtualReplicas !== undefined && virtual >= maxVirtualReplicas) {
    return hold(
      `${virtual} ${of} are on virtual nodes or may go there, and ${maxVirtualReplicas} is the most`,
    )
  }
  // One that is to be on a virtual node would never make the number on servers grow.
  if (placement === 'auto' && server < minServerReplicas) {
    return hold(`${server} ${of} are on servers, and ${minServerReplicas} have to be before one goes out`)
  }
  return { rule, evidence }
}

function held(policy: BurstPolicy, why: HeldBy['why'], told: string): HeldBy {
  return { policy: policy.uid, why, told }
}
