import { backoffMs, type BackoffPolicy } from '../../../control/backoff.ts'
import type { Clock } from '../../../model/clock.ts'
import { errorMessage } from '../../../model/errors.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { CriClient } from './client.ts'

export interface RuntimeEventsInput {
  readonly client: CriClient
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** A container or sandbox that has stopped or is gone: look at it. */
  readonly onEnded: (id: string) => void
  /** Events may have been missed: look at everything. */
  readonly relist: (signal: AbortSignal) => Promise<void>
  readonly relistEveryMs: number
}

const reconnect: BackoffPolicy = { firstMs: 100, longestMs: 5_000, factor: 2, jitter: 0.2 }

/** Follows the runtime's events for ever, with a relist after each gap and a slow one as the net. */
export async function followRuntime(input: RuntimeEventsInput, signal: AbortSignal): Promise<void> {
  await Promise.all([followEvents(input, signal), relistNowAndThen(input, signal)])
}

async function followEvents(input: RuntimeEventsInput, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    try {
      if (failures > 0) await input.relist(signal)
      for await (const event of input.client.events(signal)) {
        failures = 0
        // What was created or started was so by us, and we have looked already.
        const ended = /STOPPED|DELETED/.test(event.containerEventType)
        if (ended) input.onEnded(event.containerId)
      }
      failures++
    } catch (error) {
      if (signal.aborted) return
      failures++
      input.log.warn({ error: errorMessage(error) }, 'the events of the container runtime have broken off')
    }
    await pause(input, backoffMs(reconnect, failures, input.random()), signal)
  }
}

async function relistNowAndThen(input: RuntimeEventsInput, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await pause(input, input.relistEveryMs, signal)
    try {
      if (!signal.aborted) await input.relist(signal)
    } catch (error) {
      if (!signal.aborted)
        input.log.warn({ error: errorMessage(error) }, 'the container runtime could not be listed')
    }
  }
}

async function pause({ clock }: RuntimeEventsInput, durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(durationMs, signal)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
