import type { Backend } from '../backends/backend.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import { asPodUid } from '../model/pod-key.ts'
import { sendText, type Exchange } from './answers.ts'
import { findPod, type NodePods } from './node-pods.ts'
import type { Route } from './route.ts'

export interface RunCommandOptions {
  readonly backend: Pick<Backend, 'run'>
  readonly pods: NodePods
}

/**
 * `POST /run/…?cmd=`: runs a command in a container and answers with all that it wrote. As kubelet has it, words are
 * parted by single spaces, standard error comes after standard output, and a failure is a 500 whose text says how.
 */
export async function runCommand(
  route: Extract<Route, { kind: 'run' }>,
  { url, response }: Exchange,
  { backend, pods }: RunCommandOptions,
  end: AbortSignal,
): Promise<void> {
  const pod = findPod(pods, route.pod)
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('the caller has gone')))
  const command = (url.searchParams.get('cmd') ?? '').split(' ')
  const uid = asPodUid(pod.metadata?.uid ?? '')
  const signal = AbortSignal.any([end, gone.signal])
  try {
    const { stdout, stderr, exitCode } = await backend.run(uid, route.container, command, signal)
    if (exitCode !== 0) {
      const failed = `command '${command.join(' ')}' exited with ${exitCode}: ${String(stderr)}`
      return sendText(response, 500, failed)
    }
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(Buffer.concat([stdout, stderr]))
  } catch (error) {
    if (signal.aborted) return void response.destroy()
    const missing = hasCode(error, 'NotFound')
    sendText(
      response,
      500,
      missing ? `container not found (${JSON.stringify(route.container)})` : errorMessage(error),
    )
  }
}
