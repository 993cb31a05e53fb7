import { status, type ServiceError } from '@grpc/grpc-js'
import { SpillwayError, type BackendErrorCode } from '../../../model/errors.ts'
import { withoutArguments } from './without-arguments.ts'

const codes: ReadonlyMap<number, BackendErrorCode> = new Map([
  [status.NOT_FOUND, 'NotFound'],
  [status.ALREADY_EXISTS, 'Busy'],
  [status.ABORTED, 'Busy'],
  [status.INVALID_ARGUMENT, 'Rejected'],
  [status.OUT_OF_RANGE, 'Rejected'],
  [status.UNIMPLEMENTED, 'Unsupported'],
])

// containerd reserves the name of a sandbox or container from the first moment of its making until its removal is
// complete, and answers a second request with this sentence and the code UNKNOWN.
const reserved = /name ".*" is reserved for "/

/** The runtime's answer in our words; what is not known to be final counts as Unavailable, to be tried again. */
export function criError(method: string, error: unknown): SpillwayError {
  if (error instanceof SpillwayError) return error
  const { code, details } = error as Partial<ServiceError>
  const text = withoutArguments(details || (error instanceof Error ? error.message : String(error)))
  const message = `container runtime, ${method}: ${text}`
  if (reserved.test(text)) return new SpillwayError('Busy', message, { cause: error, afterMs: 250 })
  return new SpillwayError(codes.get(code ?? status.UNKNOWN) ?? 'Unavailable', message, { cause: error })
}

/** The runtime's own sentence without our prefix, for events and statuses that people compare with kubelet's. */
export function runtimeSentence(error: unknown): string {
  const cause = error instanceof SpillwayError ? error.cause : error
  const details = (cause as Partial<ServiceError> | undefined)?.details
  return withoutArguments(details || (error instanceof Error ? error.message : String(error)))
}

/** As `runtimeSentence`, of a failed pull: kubelet names the code there unless it is Unknown (cri-client, PullImage). */
export function pullSentence(error: unknown): string {
  const cause = error instanceof SpillwayError ? error.cause : error
  const code = (cause as Partial<ServiceError> | undefined)?.code
  const sentence = runtimeSentence(error)
  if (code === undefined || code === status.UNKNOWN) return sentence
  return goSentence(code, sentence)
}

/** An error of a gRPC call as Go prints it. */
export function goSentence(code: status, details: string): string {
  return `rpc error: code = ${goCode(code)} desc = ${details}`
}

/** `NOT_FOUND` as Go prints it: `NotFound`. */
function goCode(code: status): string {
  if (code === status.CANCELLED) return 'Canceled'
  return (status[code] ?? `Code(${code})`)
    .toLowerCase()
    .replace(/(?:^|_)([a-z])/g, (_, first: string) => first.toUpperCase())
}

/** Whether the runtime's own time-out was the reason, in whatever words: of ExecSync, that the command did not end in time. */
export function isTimeout(error: unknown): boolean {
  if (!(error instanceof SpillwayError)) return false
  const { cause } = error
  return (cause as Partial<ServiceError> | undefined)?.code === status.DEADLINE_EXCEEDED || isTimeout(cause)
}

/** Whether the runtime itself went away in the middle of the call: what it was asked for has neither failed nor been done. */
export function isRuntimeGone(error: unknown): boolean {
  return error instanceof SpillwayError && (error.cause as Partial<ServiceError>)?.code === status.UNAVAILABLE
}
