import type { ServerResponse } from 'node:http'
import type { Backend } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { NodeMetrics } from '../telemetry/node-metrics.ts'
import { sendJson, sendText, type Exchange } from './answers.ts'
import { cadvisorMetrics, type IdentityOf } from './cadvisor-metrics.ts'
import { configz, type NodeSettings } from './configz.ts'
import { sendContainerLog } from './container-logs.ts'
import { healthAnswer, type HealthChecks } from './health.ts'
import { metricsContentType } from './metrics-text.ts'
import { identityIn, type NodePods } from './node-pods.ts'
import type { NodeUsage } from './node-usage.ts'
import { podList, runningPods } from './pod-lists.ts'
import { probeMetrics } from './probe-metrics.ts'
import { resourceMetrics } from './resource-metrics.ts'
import { allowedMethods, type Route } from './route.ts'
import { runCommand } from './run-command.ts'
import { sliMetrics } from './sli-metrics.ts'
import { statsSummary } from './stats-summary.ts'

/** What a virtual node offers, as its Node object says. */
export interface NodeSize {
  readonly cpuMillis: bigint
  readonly memoryBytes: bigint
  readonly ephemeralStorageBytes: bigint
}

export interface AnswerOptions {
  readonly nodeName: string
  readonly backend: Backend
  readonly pods: NodePods
  /** Of now, and so are the settings. */
  readonly size: () => NodeSize
  readonly settings: () => NodeSettings
  readonly checks: HealthChecks
  /** Since when the node API has been there, in wall milliseconds. */
  readonly startedAtMs: number
  readonly usage: NodeUsage
  readonly metrics: NodeMetrics
  readonly log: Log
  readonly clock: Clock
}

/** Answers a request that is no upgrade and is allowed. Rejects before anything was written, or not at all. */
export async function answerRoute(
  route: Route,
  exchange: Exchange,
  options: AnswerOptions,
  signal: AbortSignal,
): Promise<void> {
  const { request, url, response } = exchange
  const allowed = allowedMethods(route)
  if (allowed && !allowed.includes(request.method ?? '')) {
    response.setHeader('Allow', allowed.join(', '))
    return sendText(response, 405, 'Method Not Allowed')
  }
  switch (route.kind) {
    case 'exec':
    case 'attach':
    case 'portForward':
      return sendText(response, 400, 'Upgrade request required')
    case 'refused':
      return sendText(response, route.status, `${route.sentence}\n`)
    case 'healthz': {
      const answer = healthAnswer({ check: route.check, query: url.searchParams }, options.checks)
      return answer ? sendText(response, answer.status, answer.body) : notFound(response)
    }
    case 'pods':
      return sendJson(response, podList(options.pods.list()))
    case 'runningPods':
      return sendJson(response, podList(await runningPods(options.backend, options.nodeName, signal)))
    case 'configz':
      return sendJson(response, configz(options.settings()))
    case 'summary':
      return await sendSummary(exchange, options, signal)
    case 'metrics':
      return await sendMetrics(route.of, response, options, signal)
    case 'run':
      return await runCommand(route, exchange, options, signal)
    case 'containerLogs':
      return await sendContainerLog({ route, query: url.searchParams, response }, options, signal)
  }
}

export function notFound(response: ServerResponse): void {
  sendText(response, 404, '404 page not found\n')
}

async function sendSummary(
  { url, response }: Exchange,
  { usage, size, log }: AnswerOptions,
  signal: AbortSignal,
): Promise<void> {
  const onlyCpuAndMemory = url.searchParams.getAll('only_cpu_and_memory').join() === 'true'
  try {
    const reading = await usage.read({ storage: !onlyCpuAndMemory }, signal)
    sendJson(response, statsSummary(reading, { onlyCpuAndMemory, ...size() }))
  } catch (error) {
    log.warn({ error: errorMessage(error) }, 'usage cannot be read')
    sendText(response, 500, `Internal Error: ${errorMessage(error)}`)
  }
}

async function sendMetrics(
  of: Extract<Route, { kind: 'metrics' }>['of'],
  response: ServerResponse,
  { usage, size, metrics, pods, checks, startedAtMs, log }: AnswerOptions,
  signal: AbortSignal,
): Promise<void> {
  if (of === 'node') {
    response.writeHead(200, { 'Content-Type': metrics.contentType }).end(await metrics.text())
    return
  }
  if (of === 'probes' || of === 'slis') {
    const told = of === 'slis' ? sliMetrics(checks) : probeMetrics(startedAtMs)
    response.writeHead(200, { 'Content-Type': metricsContentType }).end(told)
    return
  }
  const reading = await usage.read({ storage: of === 'cadvisor' }, signal).catch((error: unknown) => {
    log.warn({ error: errorMessage(error) }, 'usage cannot be read')
  })
  const identityOf: IdentityOf = (pod, container) => identityIn(pods, pod, container)
  const ofContainers = reading ? cadvisorMetrics(reading, { node: size(), identityOf }) : ''
  const text = of === 'resource' ? resourceMetrics(reading ?? undefined) : ofContainers
  response.writeHead(200, { 'Content-Type': metricsContentType }).end(text)
}
