import type { BackendHealth, HealthCheck } from '../backends/backend.ts'
import type { SandboxFinding } from '../lifecycle/sandbox-finding.ts'
import type { BudgetFinding } from '../model/budget-finding.ts'
import { kubeTime } from '../model/clock.ts'
import type { LedgerFinding } from '../model/ledger-finding.ts'
import type { NodeCondition } from '../model/kubernetes.ts'
import {
  backendReadyCondition,
  ledgerReadyCondition,
  sandboxReadyCondition,
  withinBudgetCondition,
} from '../model/words.ts'

/** How long a backend may be lost before the Node says that it is not Ready; see `ready` below. */
export const notReadyAfterMs = 30_000

export interface ConditionsInput {
  readonly health: BackendHealth
  readonly sandbox: SandboxFinding
  /** Left out: the pool has none. */
  readonly budget?: BudgetFinding | undefined
  /** Left out: nothing is said of it. */
  readonly ledger?: LedgerFinding | undefined
  /** For how long the runtime has not answered; undefined while it does. */
  readonly lostForMs: number | undefined
  /** The Node's conditions as the API has them: theirs are the transition times, and whether it was Ready. */
  readonly previous: readonly NodeCondition[]
  readonly nowWallMs: number
}

/** The conditions that we own, from real checks; heartbeat now, transition time kept while the status stays. */
export function nodeConditions(input: ConditionsInput): NodeCondition[] {
  const { health } = input
  const now = kubeTime(input.nowWallMs)
  const found = [
    pressure('MemoryPressure', health.memory, 'SpillwayHasSufficientMemory'),
    pressure('DiskPressure', health.disk, 'SpillwayHasNoDiskPressure'),
    pressure('PIDPressure', health.pids, 'SpillwayHasSufficientPID'),
    pressure('NetworkUnavailable', health.network, 'SpillwayNetworkReady'),
    backendReady(health.runtime),
    { type: sandboxReadyCondition, ...input.sandbox },
    ...(input.ledger ? [{ type: ledgerReadyCondition, ...input.ledger }] : []),
    ...withinBudget(input),
    ready(input),
  ]
  return found.map((condition) => {
    const before = input.previous.find(({ type }) => type === condition.type)
    return {
      ...condition,
      lastHeartbeatTime: now,
      lastTransitionTime:
        before?.status === condition.status && before.lastTransitionTime ? before.lastTransitionTime : now,
    }
  })
}

type Finding = Pick<NodeCondition, 'type' | 'status' | 'reason' | 'message'>

function pressure(type: string, check: HealthCheck, fineReason: string): Finding {
  return check.ok
    ? { type, status: 'False', reason: fineReason, message: check.message }
    : { type, status: 'True', reason: check.reason, message: check.message }
}

function backendReady({ ok, reason, message }: HealthCheck): Finding {
  return { type: backendReadyCondition, status: ok ? 'True' : 'False', reason, message }
}

/** A budget that was taken away is said to be, where there was one: a condition cannot be left out of a patch. */
function withinBudget({ budget, previous }: ConditionsInput): readonly Finding[] {
  const type = withinBudgetCondition
  if (budget) return [{ type, ...budget }]
  if (!previous.some((condition) => condition.type === type)) return []
  return [{ type, status: 'True', reason: 'NoBudget', message: 'the pool has no budget' }]
}

/**
 * A lost backend makes the Node unready only after 30 s: its containers mostly run on, and an unready Node at once
 * takes all its Pods out of every Service, at each restart of containerd. Nothing new comes meanwhile (the taint). A
 * Node that was not Ready before gets no such grace.
 */
function ready({ health, lostForMs, previous }: ConditionsInput): Finding {
  const fine = { type: 'Ready', status: 'True', reason: 'SpillwayReady' }
  if (health.runtime.ok) return { ...fine, message: 'the backend answers' }
  const { message } = health.runtime
  const wasReady = previous.some(({ type, status }) => type === 'Ready' && status === 'True')
  if (wasReady && (lostForMs ?? 0) < notReadyAfterMs) {
    return { ...fine, message: 'the backend does not answer just now' }
  }
  return { type: 'Ready', status: 'False', reason: 'BackendUnavailable', message }
}

/** Whether a write is due before its time: anything but the heartbeat differs. */
export function conditionsDiffer(found: readonly NodeCondition[], stored: readonly NodeCondition[]): boolean {
  return found.some((condition) => {
    const before = stored.find(({ type }) => type === condition.type)
    return (
      before?.status !== condition.status ||
      before.reason !== condition.reason ||
      before.message !== condition.message
    )
  })
}
