import { errorMessage } from '../../../model/errors.ts'

/** Where the ports of a Pod are reached, and what it is called in errors. */
export interface ForwardTarget {
  readonly address: string
  readonly name: string
  readonly uid: string
  /** As the request named them; by SPDY each stream names its own. */
  readonly ports: readonly number[]
}

/** In the words of the runtime's own streaming server, which people and their scripts know. */
export function forwardFailure(
  cause: unknown,
  { port, target }: { readonly port: number; readonly target: ForwardTarget },
): string {
  const { address, name, uid } = target
  const isRefused = cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
  const why = isRefused ? `dial tcp ${address}:${port}: connect: connection refused` : errorMessage(cause)
  return `error forwarding port ${port} to pod ${name}, uid ${uid}: ${why}`
}
