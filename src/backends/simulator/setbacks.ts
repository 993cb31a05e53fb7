/** Why a container could not be started, and when it is tried again. */
interface Setback {
  readonly kind: 'pull' | 'configuration'
  readonly reason: string
  readonly message: string
  readonly image: string
  readonly failures: number
  readonly atMs: number
  readonly retryAtMs: number
}

const firstRetryMs = 10_000
const longestRetryMs = 300_000
// Kubelet shows the error itself until the next time that it looks at the Pod.
const errorShownMs = 1_000

/** What stands between the containers of one Pod and their start, with kubelet's retries. */
export class Setbacks {
  readonly #byContainer = new Map<string, Setback>()

  pullFailed(failure: {
    readonly name: string
    readonly image: string
    readonly message: string
    readonly nowMs: number
  }): void {
    const { name, image, message, nowMs } = failure
    const failures = (this.#byContainer.get(name)?.failures ?? 0) + 1
    const retryAtMs = nowMs + Math.min(firstRetryMs * 2 ** (failures - 1), longestRetryMs)
    const setback = { reason: 'ErrImagePull', message, image, failures, atMs: nowMs, retryAtMs }
    this.#byContainer.set(name, { kind: 'pull', ...setback })
  }

  configurationFailed(failure: {
    readonly name: string
    readonly message: string
    readonly nowMs: number
  }): void {
    const { name, message, nowMs } = failure
    const retryAtMs = nowMs + firstRetryMs
    const setback = { reason: 'CreateContainerConfigError', message, image: '', failures: 1 }
    this.#byContainer.set(name, { kind: 'configuration', ...setback, atMs: nowMs, retryAtMs })
  }

  /** A ConfigMap or Secret changed: what waits for one need not wait on. */
  retryConfiguration(): void {
    for (const [name, setback] of this.#byContainer) {
      if (setback.kind === 'configuration') this.#byContainer.set(name, { ...setback, retryAtMs: 0 })
    }
  }

  over(name: string): void {
    this.#byContainer.delete(name)
  }

  /** Whether the container is not to be tried yet. */
  holds(name: string, nowMs: number): boolean {
    return (this.#byContainer.get(name)?.retryAtMs ?? 0) > nowMs
  }

  waiting(nowMs: number): Map<string, { readonly reason: string; readonly message: string }> {
    return new Map(
      [...this.#byContainer].map(([name, { kind, reason, message, image, atMs }]) => {
        const backingOff = kind === 'pull' && nowMs >= atMs + errorShownMs
        const text = `Back-off pulling image "${image}": ${reason}: ${message}`
        return [name, backingOff ? { reason: 'ImagePullBackOff', message: text } : { reason, message }]
      }),
    )
  }

  /** When this changes something next. */
  nextMs(nowMs: number): number | undefined {
    const times = [...this.#byContainer.values()]
      .flatMap(({ atMs, retryAtMs }) => [atMs + errorShownMs, retryAtMs])
      .filter((atMs) => atMs > nowMs)
    return times.length > 0 ? Math.min(...times) : undefined
  }
}
