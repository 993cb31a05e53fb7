import { givenResources } from '../../lifecycle/given-resources.ts'
import { resizeActions, type ResizeActions } from '../../lifecycle/resize-actions.ts'
import type { Pod, ResourceRequirements } from '../../model/kubernetes.ts'
import type { AllocationObservation } from '../../model/pod-observation.ts'
import { resourcesOf, sameResources } from '../../model/pod-resources.ts'
import { lastRuns, type SimulatedPod, type SimulatedRun } from './simulated-pod.ts'

/** What the Pod asks for, as it is set aside. */
export function allocationOf(pod: Pod): AllocationObservation {
  return { generation: pod.metadata?.generation ?? 0, resources: resourcesOf(pod) }
}

/** What a container of the Pod that begins now is given. */
export function givenTo(pod: Pod, name: string): ResourceRequirements {
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  const container = [...initContainers, ...containers].find((one) => one.name === name)
  return container ? givenResources(pod, container) : {}
}

/** Takes over the changed Pod; from now on the size in its spec counts. */
export function takeOver(record: SimulatedPod, pod: Pod): void {
  record.pod = pod
  if (!sameResources(record.allocation.resources, resourcesOf(pod))) record.allocation = allocationOf(pod)
}

/** Running containers whose policy wants them to be made anew to get their size. */
export function resizeRestarts(record: SimulatedPod, nowMs: number): ReadonlySet<string> {
  return new Set(record.allocation.inEffectAtMs === undefined ? left(record, nowMs).restart : [])
}

/** Gives running containers their size, which takes no time here; all is in effect once nobody waits for a restart. */
export function followResize(
  record: SimulatedPod,
  { nowMs, restarting }: { readonly nowMs: number; readonly restarting: boolean },
): void {
  if (record.allocation.inEffectAtMs !== undefined) return
  const { memory, cpu, restart } = left(record, nowMs)
  for (const { name } of [...memory, ...cpu]) {
    const run = lastRuns(record, name, nowMs).last
    if (run) run.given = givenTo(record.pod, name)
  }
  if (restart.length === 0 && !restarting) record.allocation = { ...record.allocation, inEffectAtMs: nowMs }
}

function left(record: SimulatedPod, nowMs: number): ResizeActions {
  const running = [...record.runs.keys()].flatMap((name): [string, SimulatedRun][] => {
    const { last } = lastRuns(record, name, nowMs)
    return last && last.end.atMs > nowMs ? [[name, last]] : []
  })
  const given = new Map(running.map(([name, run]) => [name, run.given]))
  return resizeActions({ pod: record.pod, given })
}
