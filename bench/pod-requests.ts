import { systemClock } from '../src/model/clock.ts'
import { countRequests, type AuditLog } from './audit-log.ts'
import { benchNamespace, benchPod, type PodWatch } from './pod-watch.ts'
import type { Nodes } from './start-times.ts'

/** What one Pod makes an agent ask the API server, from bind to gone; by "verb resource". */
export interface PodRequests {
  readonly kubelet: ReadonlyMap<string, number>
  readonly spillway: ReadonlyMap<string, number>
}

/** Counted from the audit log over `count` Pods, one at a time, on each of the two nodes in turn. */
export async function podRequests(
  watch: PodWatch,
  audit: AuditLog,
  { nodes, count }: { readonly nodes: Nodes; readonly count: number },
  signal: AbortSignal,
): Promise<PodRequests> {
  const onNode = async (node: string, agent: RegExp): Promise<ReadonlyMap<string, number>> => {
    const fromMs = systemClock.wallMs()
    for (let round = 0; round < count; round += 1) {
      const name = `asked-${node}-${round}`
      await watch.create(benchPod(name, { node }), signal)
      await watch.until([name], ({ readyMs }) => readyMs !== undefined, signal)
      await watch.remove([name], signal)
    }
    // Events are written in the background.
    await systemClock.sleep(3_000, signal)
    const asked = await audit.requests({ fromMs, toMs: systemClock.wallMs() })
    const own = asked.filter((request) => agent.test(request.agent) && request.namespace === benchNamespace)
    const sums = new Map<string, number>()
    for (const counts of countRequests(own).values()) {
      for (const [what, times] of counts) sums.set(what, (sums.get(what) ?? 0) + times / count)
    }
    return sums
  }
  return {
    kubelet: await onNode(nodes.server, /^kubelet$/),
    spillway: await onNode(nodes.virtual, /^spillway\/.*/),
  }
}

export function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}
