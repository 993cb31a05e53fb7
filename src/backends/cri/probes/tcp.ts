import { connect } from 'node:net'
import { dialSentence, joinHostPort, type ProbeOutcome } from './probe-outcome.ts'

export interface TcpProbe {
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
}

/** Success: a connection can be opened. It is closed at once. */
export function tcpProbe({ host, port, timeoutMs }: TcpProbe, signal: AbortSignal): Promise<ProbeOutcome> {
  const address = joinHostPort(host, port)
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal, timeout: timeoutMs })
    const end = (outcome: ProbeOutcome): void => {
      resolve(outcome)
      socket.destroy()
    }
    socket.on('connect', () => end({ result: 'success' }))
    socket.on('timeout', () => end({ result: 'failure', output: `dial tcp ${address}: i/o timeout` }))
    socket.on('error', (error) => end({ result: 'failure', output: dialSentence(error, address) }))
  })
}
