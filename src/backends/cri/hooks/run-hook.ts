import { longName } from '../../../lifecycle/round.ts'
import type { Clock } from '../../../model/clock.ts'
import { errorMessage } from '../../../model/errors.ts'
import type { Container } from '../../../model/kubernetes.ts'
import type { PodRef } from '../../../model/pod-key.ts'
import type { PodHappening } from '../../backend.ts'
import { isRuntimeGone } from '../runtime/errors.ts'
import type { ExecInContainer } from '../runtime/exec-in-container.ts'
import { HttpBodyError, httpGet, HttpGetError, type HttpGet } from '../probes/http-get.ts'
import { dialSentence, resolvePort } from '../probes/probe-outcome.ts'

export type HookHandler = NonNullable<NonNullable<Container['lifecycle']>['postStart']>

export interface HookInput {
  readonly handler: HookHandler
  readonly pod: PodRef
  readonly container: Pick<Container, 'name' | 'ports'>
  /** Where requests go that name no host. Empty: the Pod has no address. */
  readonly podIp: string
  readonly exec: ExecInContainer
  readonly clock: Clock
  readonly tell: (happening: PodHappening) => void
  /** When it was begun, in wall milliseconds: a sleep that was broken off goes on from there. */
  readonly beganAtMs: number
}

/**
 * Carries out a postStart or preStop hook as kubelet does (pkg/kubelet/lifecycle/handlers.go), for as long as it takes.
 * Rejects with the sentence that the container's status shows, with the signal's reason, or, when the runtime went away in
 * the middle (`isRuntimeGone`), with its error: that is no failure of the hook.
 */
export async function runHook(input: HookInput, signal: AbortSignal): Promise<void> {
  const { exec, httpGet: request, sleep } = input.handler
  const where = `for Container "${input.container.name}" in Pod "${longName({ metadata: input.pod })}"`
  if (exec) {
    const command = exec.command ?? []
    return await runCommand(
      { ...input, command, what: `Exec lifecycle hook ([${command.join(' ')}]) ${where}` },
      signal,
    )
  }
  if (request) {
    return await runOr(`HTTP lifecycle hook (${request.path ?? ''}) ${where}`, signal, () =>
      ask(input, request, signal),
    )
  }
  if (sleep) {
    const endMs = input.beganAtMs + sleep.seconds * 1000
    return await input.clock.sleep(Math.max(endMs - input.clock.wallMs(), 0), signal)
  }
  // A tcpSocket among them: the API takes it, and kubelet has never carried it out.
  throw new Error(`Cannot run handler: invalid handler: ${Object.keys(input.handler).join(', ') || 'none'}`)
}

async function runCommand(
  { exec, command, what }: HookInput & { readonly command: readonly string[]; readonly what: string },
  signal: AbortSignal,
): Promise<void> {
  // Without the expansion of variables that probes have.
  const { exitCode, output } = await exec({ command, timeoutMs: Infinity }, signal).catch(
    (error: unknown) => {
      signal.throwIfAborted()
      if (isRuntimeGone(error)) throw error
      throw new Error(`${what} failed - error: ${errorMessage(error)}, message: ""`)
    },
  )
  if (exitCode === 0) return
  const error = `command '${command.join(' ')}' exited with ${exitCode}: ${output}`
  throw new Error(`${what} failed - error: ${error}, message: ${JSON.stringify(output)}`)
}

type HttpGetAction = NonNullable<HookHandler['httpGet']>

/** Whatever the answer's status is: that there was one is enough. */
async function ask(input: HookInput, action: HttpGetAction, signal: AbortSignal): Promise<void> {
  const host = action.host || input.podIp
  if (!host) throw new Error('failed to find networking container: the Pod has no address')
  const request: HttpGet = {
    scheme: action.scheme === 'HTTPS' ? 'https' : 'http',
    host,
    port: resolvePort(action.port, input.container),
    path: action.path ?? '',
    headers: action.httpHeaders ?? [],
    purpose: 'lifecycle',
  }
  try {
    await askOnce(request, signal)
  } catch (error) {
    if (!(error instanceof HttpGetError) || !speaksPlainHttp(error)) throw error
    // Since 1.25 kubelet honours the scheme of hooks; servers from before then may know HTTP only.
    const headers = request.headers.filter(({ name }) => name.toLowerCase() !== 'authorization')
    await askOnce({ ...request, scheme: 'http', headers }, signal)
    const address = `${host}:${request.port}`
    const message = `request to HTTPS lifecycle hook ${address} got HTTP response, retry with HTTP succeeded`
    input.tell({ type: 'Warning', reason: 'LifecycleHTTPFallback', message })
  }
}

/** Of an answer nobody reads the body: who was asked to end may do so in the middle of it. */
async function askOnce(request: HttpGet, signal: AbortSignal): Promise<void> {
  try {
    await httpGet(request, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof HttpGetError && error.cause instanceof HttpBodyError)) throw error
  }
}

function speaksPlainHttp({ cause }: HttpGetError): boolean {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? ''
  return /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)$|^EPROTO$/.test(code)
}

async function runOr(what: string, signal: AbortSignal, task: () => Promise<void>): Promise<void> {
  try {
    await task()
  } catch (error) {
    signal.throwIfAborted()
    throw new Error(`${what} failed - error: ${sentenceOf(error)}`, { cause: error })
  }
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof HttpGetError)) return errorMessage(error)
  const cause = error.cause instanceof Error ? error.cause : error
  return `Get "${error.url.href}": ${dialSentence(cause, error.url.host)}`
}
