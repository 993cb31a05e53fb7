import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nodes as nodeResource } from '../src/kube/resources.ts'
import { systemClock } from '../src/model/clock.ts'
import type { BenchCluster } from './bench-cluster.ts'

/** One request that the API server answered. */
export interface AuditedRequest {
  /** `kubelet`, or the whole of ours: it tells the controller from each node. */
  readonly agent: string
  /** As in `patch pods/status`. */
  readonly what: string
  /** Namespace of its object; empty when it has none. */
  readonly namespace: string
}

export interface Span {
  /** Wall time. */
  readonly fromMs: number
  readonly toMs: number
}

interface AuditEvent {
  readonly stage: string
  readonly verb: string
  readonly userAgent?: string
  readonly objectRef?: {
    readonly resource?: string
    readonly subresource?: string
    readonly namespace?: string
  }
  readonly requestURI: string
  readonly stageTimestamp: string
}

/** What the API server was asked, read from its audit log. */
export class AuditLog {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  async requests({ fromMs, toMs }: Span): Promise<readonly AuditedRequest[]> {
    const lines = (await readFile(this.#file, 'utf8')).split('\n').filter(Boolean)
    return lines.flatMap((line): AuditedRequest[] => {
      const event = JSON.parse(line) as AuditEvent
      // A watch counts when it is opened: its end is no request.
      if (event.stage !== (event.verb === 'watch' ? 'ResponseStarted' : 'ResponseComplete')) return []
      const atMs = Date.parse(event.stageTimestamp)
      if (atMs < fromMs || atMs > toMs) return []
      const { resource = event.requestURI, subresource, namespace = '' } = event.objectRef ?? {}
      const what = `${event.verb} ${resource}${subresource ? `/${subresource}` : ''}`
      return [{ agent: agentOf(event.userAgent ?? ''), what, namespace }]
    })
  }
}

/**
 * Starts the API server anew with an audit log, which the measurements of speed are better off without, and waits until
 * everyone has reconnected.
 */
export async function openAuditLog(
  { api, cluster, running }: BenchCluster,
  signal: AbortSignal,
): Promise<AuditLog> {
  const logFile = join(cluster.stateDir, 'audit.log')
  const policyFile = join(cluster.stateDir, 'audit-policy.yaml')
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [{ level: 'Metadata' }] }
  await writeFile(policyFile, JSON.stringify(policy))
  await rm(logFile, { force: true })
  const component = running.file.components['kube-apiserver']
  if (!component) throw new Error('the cluster has no kube-apiserver')
  const flags = [`--audit-policy-file=${policyFile}`, `--audit-log-path=${logFile}`]
  const { process: _gone, ...recipe } = component
  const args = [...recipe.program.args.filter((flag) => !flag.startsWith('--audit-')), ...flags]
  await running.killComponent('kube-apiserver', signal, 5_000)
  await running.launch('kube-apiserver', { ...recipe, program: { ...recipe.program, args } }, signal)
  await untilAnswers(async () => api.list(nodeResource, {}, signal), signal)
  // Everyone lists anew and renews leases; that is neither idling nor a Pod's cost.
  await systemClock.sleep(25_000, signal)
  return new AuditLog(logFile)
}

/** By agent, then by what was asked: how many. */
export function countRequests(
  requests: readonly AuditedRequest[],
): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const counts = new Map<string, Map<string, number>>()
  for (const { agent, what } of requests) {
    const ofAgent = counts.get(agent) ?? new Map<string, number>()
    ofAgent.set(what, (ofAgent.get(what) ?? 0) + 1)
    counts.set(agent, ofAgent)
  }
  return counts
}

async function untilAnswers(ask: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await ask()
      return
    } catch {
      await systemClock.sleep(200, signal)
    }
  }
}

function agentOf(userAgent: string): string {
  return userAgent.startsWith('spillway') ? userAgent : (userAgent.split('/')[0] ?? userAgent)
}
