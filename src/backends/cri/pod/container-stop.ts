import { errorMessage, hasCode } from '../../../model/errors.ts'
import { preStop } from '../hooks/pre-stop.ts'
import { fieldPathOf, kindOf } from '../marks.ts'
import type { SeenContainer } from './observe.ts'
import type { PodHandle } from './pod-context.ts'

export interface StopWish {
  /** Wall time at which the grace is over. */
  readonly deadlineMs: number
  /** For the event. */
  readonly message: string
  /** Resolves when it may be told to end, its preStop hook aside: sidecars wait for those that they serve. */
  readonly turn?: Promise<void>
}

/** A SIGTERM always comes before the SIGKILL, by this time at the least (kubelet's minimumGracePeriodInSeconds). */
const leastSeconds = 2

/**
 * The end of one container as kubelet's killContainer has it: preStop hook, its turn, SIGTERM, SIGKILL. Hook and turn
 * are waited for until the grace is over, which can be shortened meanwhile.
 */
export class ContainerStop {
  /** Rejects when the runtime could not end it, or with the signal's reason. */
  readonly done: Promise<void>
  readonly #handle: PodHandle
  readonly #seen: SeenContainer
  readonly #signal: AbortSignal
  #deadlineMs: number
  #stopping = false
  #rearm: (() => void) | undefined

  constructor(handle: PodHandle, seen: SeenContainer, wish: StopWish, signal: AbortSignal) {
    this.#handle = handle
    this.#seen = seen
    this.#signal = signal
    this.#deadlineMs = wish.deadlineMs
    this.done = this.#run(wish)
  }

  /** Only ever brings the end of the grace nearer. */
  hurry(deadlineMs: number): void {
    if (deadlineMs >= this.#deadlineMs) return
    this.#deadlineMs = deadlineMs
    this.#rearm?.()
    // The runtime takes a second call as the shortening of the first.
    if (this.#stopping) void this.#callRuntime().catch(() => undefined)
  }

  async #run({ message, turn }: StopWish): Promise<void> {
    const { picture, tell } = this.#handle
    const { status, sandboxId } = this.#seen
    const { name } = status.metadata
    const fieldPath = fieldPathOf({ kind: kindOf(status.labels), name })
    tell({ type: 'Normal', reason: 'Killing', message, fieldPath })
    if (this.#leftMs > 0) await this.#untilDeadline(preStop(this.#handle, this.#seen, this.#signal))
    if (turn && this.#leftMs > 0) await this.#untilDeadline(turn)
    this.#signal.throwIfAborted()
    this.#stopping = true
    try {
      await this.#callRuntime()
    } catch (error) {
      const why = `error killing pod: ${errorMessage(error)}`
      tell({ type: 'Warning', reason: 'FailedKillPod', message: why, fieldPath })
      throw error
    }
    await picture.lookAtContainer(status.id, sandboxId, this.#signal)
  }

  async #callRuntime(): Promise<void> {
    const seconds = Math.max(Math.ceil(this.#leftMs / 1000), leastSeconds)
    try {
      await this.#handle.tools.client.stopContainer(this.#seen.status.id, seconds, this.#signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
    }
  }

  get #leftMs(): number {
    return this.#deadlineMs - this.#handle.tools.clock.wallMs()
  }

  /** Resolves with the work, or at the deadline of then. */
  async #untilDeadline(work: Promise<void>): Promise<void> {
    const { clock } = this.#handle.tools
    const { promise, resolve } = Promise.withResolvers<void>()
    let cancel: (() => void) | undefined
    this.#rearm = () => {
      cancel?.()
      cancel = clock.timer(Math.max(this.#leftMs, 0), resolve)
    }
    this.#rearm()
    try {
      await Promise.race([work, promise])
    } finally {
      this.#rearm = undefined
      cancel?.()
    }
  }
}
