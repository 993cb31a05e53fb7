import { isDeepStrictEqual } from 'node:util'
import type { PoolBudget } from '../model/budget-finding.ts'
import { poolLabel } from '../model/words.ts'
import { kubeTime } from '../model/clock.ts'
import type { NodeCondition } from '../model/kubernetes.ts'
import type { PoolCondition, VirtualNodePool, VirtualNodePoolStatus } from '../model/virtual-node-pool.ts'

/** What a pool's status is made of. */
export interface PoolFacts {
  readonly instance: string
  readonly nodes: readonly NodeFinding[]
  /** Nodes that the pool is to have. */
  readonly wanted: number
  /** Why the pool cannot be taken as it is; empty when it can. */
  readonly problems: readonly string[]
  readonly cordoned: boolean
  readonly drained: boolean
  readonly deletion: 'none' | 'waits for its Pods' | 'by force'
  /** What stands in the way of evictions, a sentence each. */
  readonly blocked: readonly string[]
  /** Left out: it has none. */
  readonly budget?: PoolBudget | undefined
}

export interface NodeFinding {
  readonly name: string
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reason: string
  /** Its condition about sandboxes; left out: it has none yet. */
  readonly sandbox?: Pick<NodeCondition, 'status' | 'reason' | 'message'> | undefined
  readonly retiring: boolean
  readonly pods: number
}

/** The status to write. Transition times are kept while a condition's status stays. */
export function poolStatus(
  object: VirtualNodePool,
  facts: PoolFacts,
  nowWallMs: number,
): VirtualNodePoolStatus {
  const { nodes, problems, instance } = facts
  const name = object.metadata?.name ?? ''
  const generation = object.metadata?.generation
  const stamp = { ...(generation !== undefined && { observedGeneration: generation }) }
  const conditions = [accepted(problems), ...sandboxReady(facts), ready(facts), ...withinBudget(facts)].map(
    (condition): PoolCondition => {
      const before = object.status?.conditions?.find(({ type }) => type === condition.type)
      const since = before?.status === condition.status ? before.lastTransitionTime : kubeTime(nowWallMs)
      return { ...condition, ...stamp, lastTransitionTime: since }
    },
  )
  return {
    ...stamp,
    ...(problems.length === 0 && { instance }),
    replicas: nodes.length,
    readyReplicas: nodes.filter((node) => node.ready).length,
    retiringReplicas: nodes.filter(({ retiring }) => retiring).length,
    pods: podsOf(facts),
    selector: `${poolLabel}=${name}`,
    // A budget that was taken away: its figures go, too.
    ...((facts.budget?.figures ?? object.status?.budget) && { budget: facts.budget?.figures ?? null }),
    conditions,
  }
}

type Finding = Pick<PoolCondition, 'type' | 'status' | 'reason' | 'message'>

function accepted(problems: readonly string[]): Finding {
  const type = 'Accepted'
  if (problems.length === 0)
    return { type, status: 'True', reason: 'Accepted', message: 'nodes are made of it' }
  return {
    type,
    status: 'False',
    reason: 'Invalid',
    message: problems.map((one) => `spec.${one}`).join('; '),
  }
}

/** Why none of its nodes that know can make a sandbox; undefined: they can. */
export function noSandbox({ nodes }: Pick<PoolFacts, 'nodes'>): string | undefined {
  return nodes.find(({ sandbox }) => sandbox?.status === 'False')?.sandbox?.message
}

function sandboxReady(facts: PoolFacts): readonly Finding[] {
  const type = 'SandboxReady'
  const why = noSandbox(facts)
  if (why !== undefined) return [{ type, status: 'False', reason: 'NoSandboxHandler', message: why }]
  const known = facts.nodes.find(({ sandbox }) => sandbox?.status === 'True')?.sandbox
  if (!known) return []
  return [{ type, status: 'True', reason: known.reason ?? '', message: known.message ?? '' }]
}

function withinBudget({ budget }: PoolFacts): readonly Finding[] {
  return budget ? [{ type: 'WithinBudget', ...budget.finding }] : []
}

/** Its reason is the State that `kubectl get vnp` shows. */
function ready(facts: PoolFacts): Finding {
  const { nodes, wanted, problems, deletion } = facts
  const type = 'Ready'
  const no = (reason: string, message: string): Finding => ({ type, status: 'False', reason, message })
  if (deletion !== 'none') return no('Terminating', terminating(facts))
  if (problems.length > 0) return no('NotAccepted', 'see condition Accepted')
  const retiring = nodes.filter((node) => node.retiring)
  if (retiring.length > 0) {
    const names = retiring.map(({ name }) => name).join(', ')
    return no(
      'ScalingDown',
      `${wanted} wanted, ${nodes.length} there; on the way out: ${names}${inTheWay(facts)}`,
    )
  }
  if (nodes.length < wanted) return no('ScalingUp', `${wanted} wanted, ${nodes.length} there`)
  if (noSandbox(facts) !== undefined) return no('NoSandboxHandler', 'see condition SandboxReady')
  const unready = nodes.filter((node) => !node.ready)
  const [first] = unready
  if (first) {
    const count = `${nodes.length - unready.length} of ${nodes.length} nodes are Ready`
    return no('NodesNotReady', `${count}; ${first.name}: ${first.reason}`)
  }
  const fine = (reason: string, message: string): Finding => ({ type, status: 'True', reason, message })
  const count = `${nodes.length} of ${nodes.length} nodes are Ready`
  if (facts.drained)
    return fine('Drained', `${count} and take no Pods (still there: ${podsOf(facts)})${inTheWay(facts)}`)
  if (facts.cordoned) return fine('Cordoned', `${count} and take no new Pods`)
  return fine('Ready', count)
}

function terminating(facts: PoolFacts): string {
  const left = `left: nodes ${facts.nodes.length}, Pods ${podsOf(facts)}`
  if (facts.deletion === 'by force') return `${left}; the Pods are being evicted${inTheWay(facts)}`
  return `${left}; it goes when they have ended, or with annotation spillway.dev/force-delete=true`
}

function inTheWay({ blocked }: PoolFacts): string {
  const [first] = blocked
  if (first === undefined) return ''
  return `; in the way: ${first}${blocked.length > 1 ? ` (and ${blocked.length - 1} more)` : ''}`
}

function podsOf({ nodes }: PoolFacts): number {
  return nodes.reduce((sum, { pods }) => sum + pods, 0)
}

/** Whether a write is due. */
export function poolStatusDiffers(
  stored: VirtualNodePoolStatus | undefined,
  wanted: VirtualNodePoolStatus,
): boolean {
  return Object.entries(wanted).some(
    ([field, value]) => !isDeepStrictEqual(stored?.[field as keyof VirtualNodePoolStatus], value),
  )
}
