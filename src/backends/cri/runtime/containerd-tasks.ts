import type { Clock } from '../../../model/clock.ts'
import { hasCode } from '../../../model/errors.ts'
import { ContainerdService, type ContainerdServiceOptions } from './containerd-service.ts'
import { runtimeSentence } from './errors.ts'

const requestMs = 30_000
const sendMs = 10_000
export const sigkill = 9
const patienceMs = 3_000
const lookAgainMs = 100

/**
 * The container whose task stands in the way of a removal; undefined when the removal failed of something else.
 *
 * When a StartContainer is broken off while the task is being made (its client was killed), containerd 2.4.2 takes the
 * container for exited, and the task that is there in the end belongs to nobody: the CRI neither stops it, since it
 * only stops what runs, nor removes its container or sandbox, until containerd is restarted.
 */
export function leftOverTask(error: unknown): string | undefined {
  return /cannot delete running task ([\w.-]+): failed precondition/.exec(runtimeSentence(error))?.[1]
}

/**
 * Whether a sandbox or a container cannot be stopped because it was never started: containerd was killed between the two. runc's would be
 * killed as it is; runsc signals nothing that has not begun, so that containerd tries in vain for ever.
 */
export function isNeverBegun(error: unknown): boolean {
  return /cannot signal container "?[\w.-]+"? in state created/.test(runtimeSentence(error))
}

/** 0 only asks whether there is somebody. */
export type TaskSignal = typeof sigkill | 0

/** containerd's own task service. */
export class ContainerdTasks {
  readonly #service: ContainerdService
  readonly #clock: Clock

  constructor(options: ContainerdServiceOptions) {
    const tasks = { proto: 'containerd-tasks.proto', name: 'containerd.services.tasks.v1.Tasks' }
    this.#service = new ContainerdService(tasks, options)
    this.#clock = options.clock
  }

  close(): void {
    this.#service.close()
  }

  /** Kills a task and removes it; resolves as well when there is none. */
  async end(containerId: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#call('Kill', { containerId, signal: sigkill, all: true }, signal)
      await this.#call('Wait', { containerId }, signal)
      await this.#call('Delete', { containerId }, signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
      // Ended by itself, or not yet started: there may still be something to remove.
      await this.#call('Delete', { containerId }, signal).catch((failure: unknown) => {
        if (!hasCode(failure, 'NotFound')) throw failure
      })
    }
  }

  /** To all its processes. Resolves when its shim has carried it out. */
  async send(number: TaskSignal, containerId: string, signal: AbortSignal): Promise<void> {
    const request = { containerId, signal: number, all: true }
    await this.#service.call('Kill', { request, timeoutMs: sendMs }, signal)
  }

  /**
   * Removes a task whose processes have been killed, as soon as its shim knows; resolves as well when there is none. Not
   * by Wait: of a task that was never started runsc's shim tells no end.
   */
  async remove(containerId: string, signal: AbortSignal): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + patienceMs
    for (;;) {
      try {
        return void (await this.#call('Delete', { containerId }, signal))
      } catch (error) {
        if (hasCode(error, 'NotFound')) return
        if (this.#clock.monotonicMs() >= untilMs) throw error
        await this.#clock.sleep(lookAgainMs, signal)
      }
    }
  }

  #call(method: string, request: object, signal: AbortSignal): Promise<unknown> {
    return this.#service.call(method, { request, timeoutMs: requestMs }, signal)
  }
}
