/** The CRI's enum for a signal of the API: SIGRTMIN+1 is SIGNAL_SIGRTMINPLUS1, since its names have no signs. */
export function runtimeSignal(signal: string): string {
  return `SIGNAL_${signal.replace('+', 'PLUS').replace('-', 'MINUS')}`
}

/** The API's name; undefined when the runtime does not tell. */
export function signalOf(runtimeSignal: string): string | undefined {
  if (runtimeSignal === '' || runtimeSignal === 'SIGNAL_RUNTIME_DEFAULT') return undefined
  return runtimeSignal
    .replace(/^SIGNAL_/, '')
    .replace('PLUS', '+')
    .replace('MINUS', '-')
}
