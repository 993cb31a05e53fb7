import { Metadata, status, type Client, type ServiceError } from '@grpc/grpc-js'
import type { Clock } from '../../../model/clock.ts'
import { criError } from './errors.ts'

type Unary = (
  request: object,
  metadata: Metadata,
  options: { deadline?: number },
  callback: (error: ServiceError | null, answer: unknown) => void,
) => { cancel(): void }

export interface UnaryCall {
  readonly method: string
  readonly request: object
  /** Infinity: as long as it takes. */
  readonly timeoutMs: number
  readonly metadata?: Metadata
  readonly clock: Clock
}

/** One gRPC call. Rejects with a `SpillwayError` of the backend's set, or with the signal's reason. */
export function unaryCall<Answer>(client: Client, call: UnaryCall, signal: AbortSignal): Promise<Answer> {
  const { method, request, timeoutMs, metadata = new Metadata(), clock } = call
  const unary = (client as unknown as Record<string, Unary>)[method]
  if (!unary) throw new Error(`the service has no method ${method}`)
  const options = timeoutMs === Infinity ? {} : { deadline: clock.wallMs() + timeoutMs }
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error)
    const running = unary.call(client, request, metadata, options, (error, answer) => {
      signal.removeEventListener('abort', cancel)
      if (!error) resolve(answer as Answer)
      else if (error.code === status.CANCELLED && signal.aborted) reject(signal.reason as Error)
      else reject(criError(method, error))
    })
    const cancel = (): void => running.cancel()
    signal.addEventListener('abort', cancel, { once: true })
  })
}
