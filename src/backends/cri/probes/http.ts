import { errorMessage } from '../../../model/errors.ts'
import { HttpBodyError, httpGet, HttpGetError, type HttpAnswer, type HttpGet } from './http-get.ts'
import { dialSentence, type ProbeOutcome } from './probe-outcome.ts'

export interface HttpProbe extends HttpGet {
  readonly timeoutMs: number
}

/**
 * A GET whose status is 200 to 399. A redirect that leads to another host counts as success, with a warning: kubelet's
 * rules.
 */
export async function httpProbe(probe: HttpProbe, signal: AbortSignal): Promise<ProbeOutcome> {
  const deadline = AbortSignal.timeout(probe.timeoutMs)
  try {
    return conclude(await httpGet(probe, AbortSignal.any([signal, deadline])))
  } catch (error) {
    if (!(error instanceof HttpGetError)) return { result: 'failure', output: errorMessage(error) }
    const cause = error.cause instanceof Error ? error.cause : error
    if (cause instanceof HttpBodyError) return unread(cause, { timedOut: deadline.aborted })
    const told = deadline.aborted
      ? 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
      : dialSentence(cause, error.url.host)
    return { result: 'failure', output: `Get "${error.url.href}": ${told}` }
  }
}

/**
 * A status without all of its body (of which 10 KiB would do) says nothing: kubelet tries again, and then throws what it
 * has away, so that a liveness probe of an endpoint that goes on sending never ends its container.
 */
function unread({ message }: HttpBodyError, { timedOut }: { readonly timedOut: boolean }): ProbeOutcome {
  const waited = 'context deadline exceeded (Client.Timeout or context cancellation while reading body)'
  return { result: 'unknown', state: 'failure', error: timedOut ? waited : goBodySentence(message) }
}

function goBodySentence(message: string): string {
  return message === 'aborted' ? 'unexpected EOF' : message
}

function conclude({ status, body }: HttpAnswer): ProbeOutcome {
  if (status >= 200 && status < 300) return { result: 'success' }
  if (status >= 300 && status < 400) {
    return { result: 'warning', output: `Probe terminated redirects, Response body: ${body}` }
  }
  // Without the body: it may hold what events should not show (kubernetes issue 99425).
  return { result: 'failure', output: `HTTP probe failed with statuscode: ${status}` }
}
