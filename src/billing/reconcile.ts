import type { Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { UsageInterval } from './projection.ts'

/** Who knows of a Pod: the API server its object, the backend its sandbox, the ledger an interval that is open. */
export type ReconcileCase = keyof typeof reconcileCases

/** All eight, and what Spillway does by itself about each. docs/reference/ledger-reconcile.md says it to people. */
export const reconcileCases = {
  'runs and is billed': { agrees: true, outcome: 'nothing to do' },
  'runs, not billed': { agrees: false, outcome: 'billed from when its sandbox was made, at the next look' },
  'billed, lost by the backend': {
    agrees: false,
    outcome: 'closed where it was last seen, estimated; the Pod begins anew or is told to have failed',
  },
  'not started': { agrees: true, outcome: 'it is started, or waits for room' },
  'billed, unknown to the API server': {
    agrees: false,
    outcome: 'an orphan: ended after half a minute and a live look, and billed to its end',
  },
  'not billed, unknown to the API server': {
    agrees: false,
    outcome: 'an orphan: billed from when its sandbox was made, and ended as one',
  },
  'billed, gone everywhere': {
    agrees: false,
    outcome: 'closed where it was last seen, estimated, after half a minute and a live look',
  },
  over: { agrees: true, outcome: 'nothing to do' },
} as const

export interface ReconcileRow {
  readonly namespace: string
  readonly pod: string
  readonly podUid: string
  readonly api: boolean
  readonly backend: boolean
  readonly ledger: boolean
  readonly case: ReconcileCase
  readonly agrees: boolean
  readonly outcome: string
}

export interface ReconcileInput {
  /** Bound to nodes of ours. */
  readonly api: readonly Pod[]
  /** Complete, of all backends. */
  readonly backend: readonly PodObservation[]
  readonly open: readonly UsageInterval[]
}

/** Every Pod that any of the three knows, by name; who knows it, and what follows. */
export function reconcile({ api, backend, open }: ReconcileInput): ReconcileRow[] {
  const objects = new Map(api.map((pod) => [String(pod.metadata?.uid), pod]))
  const seen = new Map(backend.map((observed) => [String(observed.uid), observed]))
  const billed = new Map(open.map((interval) => [String(interval.podUid), interval]))
  const uids = new Set([...objects.keys(), ...seen.keys(), ...billed.keys()])
  return [...uids]
    .map((podUid) => {
      const [object, observed, interval] = [objects.get(podUid), seen.get(podUid), billed.get(podUid)]
      const known = whereabouts(object, observed, interval)
      const name = caseOf(known)
      return { ...namesOf(object, observed, interval), podUid, ...known, case: name, ...reconcileCases[name] }
    })
    .sort((a, b) => compare(`${a.namespace}/${a.pod}/${a.podUid}`, `${b.namespace}/${b.pod}/${b.podUid}`))
}

type Whereabouts = Pick<ReconcileRow, 'api' | 'backend' | 'ledger'>

/**
 * What has ended and is closed is over, although its object and its evidence may be there for long. What has ended and is
 * not closed yet is the backend's to tell of; what has no sandbox yet holds nothing.
 */
function whereabouts(
  object: Pod | undefined,
  observed: PodObservation | undefined,
  interval: UsageInterval | undefined,
): Whereabouts {
  const ledger = interval !== undefined
  const backend = observed !== undefined && (ledger || (observed.phase !== 'stopped' && !!observed.sandbox))
  const isOver = object?.status?.phase === 'Succeeded' || object?.status?.phase === 'Failed'
  const hasEnded = isOver || observed?.phase === 'stopped'
  return { api: object !== undefined && (!hasEnded || backend || ledger), backend, ledger }
}

function caseOf({ api, backend, ledger }: Whereabouts): ReconcileCase {
  if (api && backend) return ledger ? 'runs and is billed' : 'runs, not billed'
  if (api) return ledger ? 'billed, lost by the backend' : 'not started'
  if (backend) return ledger ? 'billed, unknown to the API server' : 'not billed, unknown to the API server'
  return ledger ? 'billed, gone everywhere' : 'over'
}

function namesOf(
  object: Pod | undefined,
  observed: PodObservation | undefined,
  interval: UsageInterval | undefined,
): Pick<ReconcileRow, 'namespace' | 'pod'> {
  if (object) return { namespace: podRef(object).namespace, pod: podRef(object).name }
  const { namespace = '', name = '' } = observed ?? interval?.pod ?? interval?.unknownPod ?? {}
  return { namespace, pod: name }
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
