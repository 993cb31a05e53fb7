import type { Backend, ExecOptions, StreamTarget } from '../backends/backend.ts'
import { SpillwayError } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import { asPodUid } from '../model/pod-key.ts'
import { containerOf } from './node-pods.ts'
import type { Route } from './route.ts'

export type StreamRoute = Extract<Route, { kind: 'exec' | 'attach' | 'portForward' }>

/**
 * Asks the backend where exec, attach or port-forward are to be connected to. Rejected: the query makes no sense.
 * NotFound: there is no such running container.
 */
export async function streamTarget(
  { route, pod, query }: { readonly route: StreamRoute; readonly pod: Pod; readonly query: URLSearchParams },
  backend: Backend,
  signal: AbortSignal,
): Promise<StreamTarget> {
  const uid = asPodUid(pod.metadata?.uid ?? '')
  if (route.kind === 'portForward') return await backend.portForward(uid, portsOf(query), signal)
  const { container, kind } = route
  const streams = streamsOf(query)
  try {
    if (kind === 'exec') {
      return await backend.exec(uid, container, { command: query.getAll('command'), ...streams }, signal)
    }
    // Whether there is a terminal was decided when the container was made.
    return await backend.attach(
      uid,
      container,
      { ...streams, tty: containerOf(pod, container)?.tty === true },
      signal,
    )
  } catch (error) {
    if (!(error instanceof SpillwayError) || error.code !== 'NotFound') throw error
    throw new SpillwayError('NotFound', `container not found ("${container}")`, { cause: error })
  }
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
