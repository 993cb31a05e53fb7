import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Backend } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import { asPodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import { answerStatus } from './answer-status.ts'
import { sendText } from './answers.ts'
import { parseLogQuery } from './log-query.ts'
import { logUnavailable } from './log-unavailable.ts'
import { containerOf, type NodePods } from './node-pods.ts'
import type { Route } from './route.ts'

export interface ContainerLogsOptions {
  readonly backend: Pick<Backend, 'logs'>
  readonly pods: NodePods
  readonly clock: Clock
  readonly log: Log
}

export interface LogRequest {
  readonly route: Extract<Route, { kind: 'containerLogs' }>
  readonly query: URLSearchParams
  readonly response: ServerResponse
}

/** `GET /containerLogs/…`: the log as it comes, until its end, the reader's, or the signal. */
export async function sendContainerLog(
  { route, query: params, response }: LogRequest,
  { backend, pods, clock, log }: ContainerLogsOptions,
  end: AbortSignal,
): Promise<void> {
  const query = parseLogQuery(params, clock.wallMs())
  if (!query.ok) return sendText(response, query.status, query.message)
  const { container } = route
  const pod = pods.find(route.pod.namespace, route.pod.name)
  if (!pod) return sendText(response, 404, `pod "${route.pod.name}" does not exist`)
  if (!containerOf(pod, container)) {
    return sendText(response, 404, `container "${container}" not found in pod "${route.pod.name}"`)
  }
  if (query.onlyStream !== undefined) {
    const told = `unable to return the given log stream: "${query.onlyStream}"`
    return sendText(response, 400, `${told}. Please enable PodLogsQuerySplitStreams feature gate in kubelet`)
  }
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('the reader of the log has gone')))
  const signal = AbortSignal.any([end, gone.signal])
  const uid = asPodUid(pod.metadata?.uid ?? '')
  try {
    const lines = await backend.logs(uid, container, query.options, signal)
    response.writeHead(200, { 'Content-Type': 'text/plain' })
    // At once: with `follow` the first line may be long in coming.
    response.flushHeaders()
    await pipeline(lines, response)
  } catch (error) {
    if (signal.aborted) return void response.destroy()
    if (response.headersSent) {
      log.warn({ ...route.pod, container, error: errorMessage(error) }, 'log stream broke off')
      return void response.destroy()
    }
    // Kubelet answers all of these with 400, and kubectl shows the text.
    const told = hasCode(error, 'NotFound')
      ? logUnavailable(pod, { container, previous: query.options.previous })
      : errorMessage(error)
    sendText(response, hasCode(error, 'NotFound') ? 400 : answerStatus(error), told)
  }
}
