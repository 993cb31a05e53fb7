import { namespaces, pods as podResource, services } from '../../kube/resources.ts'
import type { Pod } from '../../model/kubernetes.ts'
import { formatTable } from '../table.ts'
import { formatDuration } from '../times.ts'
import { batchJob, callerPod, deployments, jobs, webDeployment, webService } from './manifests.ts'
import { isReady, isVirtual, until, webPods, type Stage } from './stage.ts'

/** 1. The base load fits on the server. */
export async function fillTheServer(stage: Stage): Promise<void> {
  const { api, claims, namespace, signal } = stage
  await api.create(namespaces, { metadata: { name: namespace } }, signal)
  await until(stage, { timeoutMs: 20_000 }, () => hasServiceAccount(stage))
  await api.create(services, webService(namespace), signal)
  if (!stage.simulated) await api.create(podResource, callerPod(namespace), signal)
  await api.create(deployments, webDeployment(namespace, 2), signal)
  const ready = await until(stage, { timeoutMs: 60_000 }, () => webPods(stage).filter(isReady).length === 2)
  const virtual = webPods(stage).filter((pod) => isVirtual(stage, pod))
  claims.check(
    '2 Pods of "web" run on the server, none went out while it had room',
    ready && virtual.length === 0,
    nodesOf(stage),
  )
}

/** 2. The peak: scheduler says Unschedulable, Spillway appends a toleration, the Pods run on virtual nodes. */
export async function spillOver(stage: Stage): Promise<void> {
  const { claims } = stage
  await scaleWeb(stage, 8)
  const ready = await until(stage, { timeoutMs: 60_000 }, () => webPods(stage).filter(isReady).length === 8)
  const virtual = webPods(stage).filter((pod) => isVirtual(stage, pod))
  stage.output.write(`\n${timelineTable(stage)}\n`)
  claims.check(
    'scaled to 8: the 6 that found no room run on virtual nodes',
    ready && virtual.length === 6,
    nodesOf(stage),
  )
  const waits = stage
    .timelines()
    .flatMap(({ unschedulableMs, boundMs, node }) =>
      node !== stage.serverNode && unschedulableMs !== undefined && boundMs !== undefined
        ? [boundMs - unschedulableMs]
        : [],
    )
  const slowest = Math.max(...waits, 0)
  claims.check(
    'each was bound within a second of being unschedulable',
    waits.length === 6 && slowest <= 1_000,
    `slowest ${formatDuration(slowest)}`,
  )
}

/** 3. One Service, Pods on both kinds of node. */
export async function serveRequests(stage: Stage): Promise<void> {
  if (stage.simulated) return
  const { claims, namespace } = stage
  await until(stage, { timeoutMs: 30_000 }, () =>
    stage.pods().some((pod) => pod.metadata?.name === 'caller' && isReady(pod)),
  )
  const script = 'for i in $(seq 1 40); do timeout 5 wget -q -O - http://web/hostname; echo; done'
  const fromServer = await stage.kubectl(['-n', namespace, 'exec', 'caller', '--', 'sh', '-c', script])
  const answered = countByKind(stage, fromServer.stdout)
  claims.check(
    '40 requests from a Pod on the server to http://web were answered by Pods on both kinds of node',
    answered.server > 0 && answered.virtual > 0 && answered.server + answered.virtual === 40,
    `${answered.server} by the server's, ${answered.virtual} by virtual ones`,
  )
  const pod = webPods(stage).find((candidate) => isVirtual(stage, candidate))
  const script2 = 'for i in $(seq 1 20); do timeout 5 wget -q -O - http://web/hostname; echo; done'
  const fromVirtual = await stage.kubectl([
    '-n',
    namespace,
    'exec',
    pod?.metadata?.name ?? '',
    '--',
    'sh',
    '-c',
    script2,
  ])
  const back = countByKind(stage, fromVirtual.stdout)
  claims.check(
    '20 requests from a Pod on a virtual node the other way round as well',
    back.server > 0 && back.virtual > 0 && back.server + back.virtual === 20,
    `${back.server} by the server's, ${back.virtual} by virtual ones`,
  )
}

/** 4. kubectl exec and logs, on a virtual node. */
export async function lookInside(stage: Stage): Promise<void> {
  const { claims, namespace } = stage
  const pod = webPods(stage).find((candidate) => isVirtual(stage, candidate))
  const name = pod?.metadata?.name ?? ''
  if (!stage.simulated) {
    const hostname = await stage.kubectl(['-n', namespace, 'exec', name, '--', 'hostname'])
    claims.check(
      `kubectl exec ${name} -- hostname`,
      hostname.stdout.trim() === name,
      `"${hostname.stdout.trim()}"`,
    )
    const failing = await stage.kubectl(['-n', namespace, 'exec', name, '--', 'sh', '-c', 'exit 7'])
    claims.check('its exit code comes through', failing.code === 7, `exit code ${failing.code}`)
  }
  const logs = await stage.kubectl(['-n', namespace, 'logs', name, '--tail=1'])
  const line = logs.stdout.trim()
  claims.check(`kubectl logs ${name} --tail=1`, logs.code === 0 && line !== '', `"${line.slice(0, 60)}"`)
}

/** 5. The peak is over: who leaves? */
export async function scaleIn(stage: Stage): Promise<void> {
  const { claims } = stage
  const before = new Set(
    webPods(stage)
      .filter((pod) => !isVirtual(stage, pod))
      .map(({ metadata }) => metadata?.uid),
  )
  await scaleWeb(stage, 2)
  await until(
    stage,
    { timeoutMs: 60_000 },
    () => stage.pods().filter(({ metadata }) => metadata?.labels?.['app'] === 'web').length === 2,
  )
  const left = webPods(stage)
  const same = left.length === 2 && left.every(({ metadata }) => before.has(metadata?.uid))
  claims.check('scaled to 2: the virtual ones left, the 2 on the server stayed', same, nodesOf(stage))
}

/** 6. A task sent out by hand gives its resources back when it ends, and its logs stay. */
export async function batchByHand(stage: Stage): Promise<void> {
  const { api, claims, clock, namespace, pool, signal } = stage
  await api.create(jobs, batchJob(namespace, pool), signal)
  const reportPod = () => stage.pods().find(({ metadata }) => metadata?.labels?.['app'] === 'report')
  const done = await until(stage, { timeoutMs: 60_000 }, () => reportPod()?.status?.phase === 'Succeeded')
  const endedMs = clock.monotonicMs()
  const pod = reportPod()
  claims.check(
    'the Job ran on a virtual node and succeeded',
    done && pod !== undefined && isVirtual(stage, pod),
    pod?.spec?.nodeName ?? 'nowhere',
  )
  if (!pod) return
  if (!stage.simulated) await checkTraces(stage, pod, endedMs)
  const logs = await stage.kubectl(['-n', namespace, 'logs', 'job/report'])
  const lines = logs.stdout.trim().split('\n')
  claims.check(
    'kubectl logs of the finished Pod still works',
    lines.length > 0 && logs.code === 0 && logs.stdout !== '',
    `${lines.length} lines, last "${lines.at(-1)}"`,
  )
}

async function checkTraces(stage: Stage, pod: Pod, endedMs: number): Promise<void> {
  const { claims, clock } = stage
  let traces: readonly string[] = []
  const clean = await until(stage, { timeoutMs: 2_000 }, async () => {
    traces = await stage.traces(pod)
    return traces.length === 0
  })
  const tookMs = clock.monotonicMs() - endedMs
  const evidence = clean ? `after ${formatDuration(tookMs)}` : `left: ${traces.slice(0, 3).join(', ')}`
  claims.check(
    'process, network namespace, mounts and cgroup are gone within 2 s of its end',
    clean,
    evidence,
  )
}

async function hasServiceAccount({ api, namespace, signal }: Stage): Promise<boolean> {
  const accounts = {
    group: '',
    version: 'v1',
    plural: 'serviceaccounts',
    kind: 'ServiceAccount',
    namespaced: true,
  }
  const { items } = await api.list(accounts, { namespace }, signal)
  return items.length > 0
}

async function scaleWeb({ api, namespace, signal }: Stage, replicas: number): Promise<void> {
  const patch = { type: 'merge', body: { spec: { replicas } } } as const
  await api.patch(deployments, { namespace, name: 'web' }, patch, signal)
}

function nodesOf(stage: Stage): string {
  const counts = new Map<string, number>()
  for (const pod of webPods(stage)) {
    const node = pod.spec?.nodeName ?? 'pending'
    counts.set(node, (counts.get(node) ?? 0) + 1)
  }
  return [...counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([node, count]) => `${node}: ${count}`)
    .join(', ')
}

function countByKind(stage: Stage, output: string): { server: number; virtual: number } {
  const names = output
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
  const counts = { server: 0, virtual: 0 }
  for (const pod of webPods(stage)) {
    const answers = names.filter((name) => name === pod.metadata?.name).length
    counts[isVirtual(stage, pod) ? 'virtual' : 'server'] += answers
  }
  return counts
}

/** Where each Pod is and how long each phase took, since the one before. */
function timelineTable(stage: Stage): string {
  const since = (to: number | undefined, from: number | undefined): string =>
    to === undefined || from === undefined ? '-' : formatDuration(Math.max(to - from, 0))
  const rows = stage
    .timelines()
    .filter(({ name, goneMs }) => name.startsWith('web-') && goneMs === undefined)
    .sort((a, b) => a.createdMs - b.createdMs)
    .map((pod) => [
      pod.name,
      pod.node ?? '-',
      since(pod.unschedulableMs, pod.createdMs),
      since(pod.sentMs, pod.unschedulableMs),
      since(pod.boundMs, pod.sentMs ?? pod.createdMs),
      since(pod.readyMs, pod.boundMs),
      since(pod.readyMs, pod.createdMs),
    ])
  const columns = ['pod', 'node', 'unschedulable', 'sent out', 'bound', 'ready', 'in all']
  return formatTable(
    columns.map((title, index) => ({ title, right: index > 1 })),
    rows,
  )
}
