import { allRuns, currentSandbox, type SimulatedPod } from './simulated-pod.ts'

/** When time alone changes what is seen of the Pod next, or undefined when it does not. */
export function nextChangeMs(record: SimulatedPod, nowMs: number): number | undefined {
  const sandbox = currentSandbox(record)
  const times = [
    ...(sandbox ? [sandbox.readyAtMs, sandbox.lostAtMs] : []),
    ...allRuns(record).flatMap(({ startedAtMs, end, script }) => [
      startedAtMs,
      end.atMs,
      startedAtMs + script.startedAfterMs,
      startedAtMs + script.readyAfterMs,
      startedAtMs + script.livenessFailsAfterMs,
    ]),
  ]
  const next = Math.min(...times.filter((atMs) => atMs > nowMs))
  return Number.isFinite(next) ? next : undefined
}
