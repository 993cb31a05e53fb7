import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nodes as nodeResource } from '../src/kube/resources.ts'
import { systemClock } from '../src/model/clock.ts'
import type { BenchCluster } from './bench-cluster.ts'

export interface IdleCost {
  readonly seconds: number
  /** By user agent, then by "verb resource". */
  readonly requestsPerMinute: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly spillway: ProcessCost
  readonly kubelet: ProcessCost
}

export interface ProcessCost {
  readonly rssMegabytes: number
  readonly cpuSecondsPerMinute: number
}

interface AuditEvent {
  readonly stage: string
  readonly verb: string
  readonly userAgent?: string
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string }
  readonly requestURI: string
  readonly stageTimestamp: string
}

/**
 * What stands still costs: requests that the API server's audit log shows, memory and CPU of the processes. The API
 * server is started anew with the log, which the measurements of speed are better off without.
 */
export async function idleCost(
  { api, cluster, running }: BenchCluster,
  seconds: number,
  signal: AbortSignal,
): Promise<IdleCost> {
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
  // Everyone reconnects, lists anew and renews leases; that is not idling.
  await systemClock.sleep(25_000, signal)
  const before = await processes(running)
  const fromMs = systemClock.wallMs()
  await systemClock.sleep(seconds * 1000, signal)
  const toMs = systemClock.wallMs()
  const after = await processes(running)
  const events = (await readFile(logFile, 'utf8')).split('\n').filter(Boolean)
  return {
    seconds,
    requestsPerMinute: perMinute(events, { fromMs, toMs }),
    spillway: cost(before.spillway, after.spillway, seconds),
    kubelet: cost(before.kubelet, after.kubelet, seconds),
  }
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

function perMinute(
  lines: readonly string[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const counts = new Map<string, Map<string, number>>()
  for (const line of lines) {
    const event = JSON.parse(line) as AuditEvent
    // A watch counts when it is opened: its end is no request.
    if (event.stage !== (event.verb === 'watch' ? 'ResponseStarted' : 'ResponseComplete')) continue
    const atMs = Date.parse(event.stageTimestamp)
    if (atMs < fromMs || atMs > toMs) continue
    const agent = agentOf(event.userAgent ?? '')
    const { resource = event.requestURI, subresource } = event.objectRef ?? {}
    const what = `${event.verb} ${resource}${subresource ? `/${subresource}` : ''}`
    const ofAgent = counts.get(agent) ?? new Map<string, number>()
    ofAgent.set(what, (ofAgent.get(what) ?? 0) + 60_000 / (toMs - fromMs))
    counts.set(agent, ofAgent)
  }
  return counts
}

/** "kubelet" of a kubelet's long name; ours tell the controller from each node. */
function agentOf(userAgent: string): string {
  return userAgent.startsWith('spillway') ? userAgent : (userAgent.split('/')[0] ?? userAgent)
}

interface ProcessSample {
  readonly rssBytes: number
  readonly cpuSeconds: number
}

async function processes(
  running: BenchCluster['running'],
): Promise<{ readonly spillway: ProcessSample; readonly kubelet: ProcessSample }> {
  return { spillway: await sample(running, 'spillway'), kubelet: await sample(running, 'kubelet') }
}

async function sample(running: BenchCluster['running'], component: string): Promise<ProcessSample> {
  const pid = await running.componentPid(component)
  if (pid === undefined) throw new Error(`${component} does not run`)
  return await sampleTree(pid)
}

/** A process and its children: the launcher of Spillway waits for the Node that it started. */
async function sampleTree(pid: number): Promise<ProcessSample> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // After the name, which may contain blanks: fields 14 and 15 are user and system ticks, 24 is RSS in pages.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  let rssBytes = (fields[21] ?? 0) * 4096
  let cpuSeconds = ((fields[11] ?? 0) + (fields[12] ?? 0)) / 100
  for (const child of children.split(' ').filter(Boolean)) {
    const below = await sampleTree(Number(child))
    rssBytes += below.rssBytes
    cpuSeconds += below.cpuSeconds
  }
  return { rssBytes, cpuSeconds }
}

function cost(before: ProcessSample, after: ProcessSample, seconds: number): ProcessCost {
  return {
    rssMegabytes: after.rssBytes / 1_000_000,
    cpuSecondsPerMinute: ((after.cpuSeconds - before.cpuSeconds) * 60) / seconds,
  }
}
