import type { Backend, ExecOptions, StreamTarget } from '../backends/backend.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import { asPodUid } from '../model/pod-key.ts'
import { answerStatus } from './answer-status.ts'
import { containerOf, findPod, type NodePods } from './node-pods.ts'
import type { Route } from './route.ts'

type ContainerRoute = Extract<Route, { kind: 'exec' | 'attach' }>
export type StreamRoute = ContainerRoute | Extract<Route, { kind: 'portForward' }>

export interface StreamRequest {
  readonly route: StreamRoute
  readonly query: URLSearchParams
}

export interface StreamPlaces {
  readonly backend: Pick<Backend, 'exec' | 'attach' | 'portForward'>
  readonly pods: NodePods
}

/** Where to connect to, or what to answer instead. */
export type StreamAnswer =
  | { readonly ok: true; readonly target: StreamTarget }
  | { readonly ok: false; readonly status: number; readonly message: string }

/** Asks the backend where exec, attach or port-forward are to be connected to. Refusals are kubelet's. */
export async function streamTarget(
  { route, query }: StreamRequest,
  { backend, pods }: StreamPlaces,
  signal: AbortSignal,
): Promise<StreamAnswer> {
  try {
    const target =
      route.kind === 'portForward'
        ? await podTarget({ route, query }, { backend, pods }, signal)
        : await containerTarget({ route, query }, { backend, pods }, signal)
    return { ok: true, target }
  } catch (error) {
    if (error instanceof NotRunning) return { ok: false, status: 500, message: error.message }
    return { ok: false, status: answerStatus(error), message: errorMessage(error) }
  }
}

/** The runtime has none: to kubelet an error like any other, so that it answers 500; kubectl shows the text. */
class NotRunning extends Error {}

async function podTarget(
  {
    route,
    query,
  }: { readonly route: Extract<Route, { kind: 'portForward' }>; readonly query: URLSearchParams },
  { backend, pods }: StreamPlaces,
  signal: AbortSignal,
): Promise<StreamTarget> {
  const ports = portsOf(query)
  const uid = uidOf(findPod(pods, route.pod))
  try {
    return await backend.portForward(uid, ports, signal)
  } catch (error) {
    const { name, namespace } = route.pod
    throw hasCode(error, 'NotFound') ? new NotRunning(`pod not found ("${name}_${namespace}")`) : error
  }
}

async function containerTarget(
  { route, query }: { readonly route: ContainerRoute; readonly query: URLSearchParams },
  { backend, pods }: StreamPlaces,
  signal: AbortSignal,
): Promise<StreamTarget> {
  const { container, kind } = route
  const streams = streamsOf(query)
  const { namespace, name } = route.pod
  const pod = findPod(pods, { namespace, name })
  const missing = (): NotRunning =>
    new NotRunning(
      kind === 'exec'
        ? `container not found ("${container}")`
        : `container ${container} not found in pod ${name}_${namespace}`,
    )
  if (route.pod.uid !== undefined && route.pod.uid !== pod.metadata?.uid) throw missing()
  try {
    if (kind === 'exec') {
      return await backend.exec(
        uidOf(pod),
        container,
        { command: query.getAll('command'), ...streams },
        signal,
      )
    }
    // Whether there is a terminal was decided when the container was made.
    const tty = containerOf(pod, container)?.tty === true
    return await backend.attach(uidOf(pod), container, { ...streams, tty }, signal)
  } catch (error) {
    throw hasCode(error, 'NotFound') ? missing() : error
  }
}

function uidOf(pod: Pod) {
  return asPodUid(pod.metadata?.uid ?? '')
}

function streamsOf(query: URLSearchParams): Omit<ExecOptions, 'command'> {
  const tty = query.get('tty') === '1'
  const stdin = query.get('input') === '1'
  const stdout = query.get('output') === '1'
  // A terminal has one output; kubelet, too, lets stderr fall without a word.
  const stderr = query.get('error') === '1' && !tty
  if (!stdin && !stdout && !stderr) {
    throw new SpillwayError('Rejected', 'you must specify at least 1 of stdin, stdout, stderr')
  }
  return { stdin, stdout, stderr, tty }
}

/** Over SPDY ports come with the streams; only WebSockets name them here. */
function portsOf(query: URLSearchParams): number[] {
  return query.getAll('port').flatMap((list) =>
    list.split(',').map((text) => {
      const port = Number(text)
      if (Number.isInteger(port) && port > 0 && port < 65_536) return port
      throw new SpillwayError('Rejected', `invalid port "${text}": must be a number from 1 to 65535`)
    }),
  )
}
