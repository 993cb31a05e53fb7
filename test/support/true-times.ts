import type { Bill } from '../../src/billing/invoice.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { WitnessedPod } from './cri-witness.ts'
import type { Story } from './story.ts'

/** From the making of its last sandbox to the end of its last container, as containerd told them; RFC 3339. */
export function trueTimes({ sandboxes, containers }: WitnessedPod): {
  readonly start: string
  readonly end: string
} {
  const ends = containers.map(({ finishedMs }) => finishedMs ?? 0)
  const made = sandboxes.filter(({ createdMs }) => createdMs > 0)
  return {
    start: new Date(made.at(-1)?.createdMs ?? 0).toISOString(),
    end: new Date(Math.max(...ends)).toISOString(),
  }
}

/**
 * Every sandbox in which a container has ended, from its making to the end of the last of them. A container belongs to the
 * sandbox that was the latest when it started; one that containerd lost while it started it has an end all the same, and
 * no start. A start that was called off because Spillway was killed in the middle of it is none: nothing ran.
 */
export function trueIntervals({ sandboxes, containers }: WitnessedPod): {
  readonly startMs: number
  readonly endMs: number
}[] {
  const starts = sandboxes.map(({ createdMs }) => createdMs).filter((createdMs) => createdMs > 0)
  return starts.flatMap((startMs, index) => {
    const nextMs = starts[index + 1] ?? Infinity
    const ends = containers.flatMap(({ startedMs, finishedMs = -1, message }) => {
      if (startedMs === undefined && message.includes('context canceled')) return []
      const beganMs = startedMs ?? finishedMs
      return startMs <= beganMs && beganMs < nextMs ? [finishedMs] : []
    })
    return ends.length > 0 ? [{ startMs, endMs: Math.max(...ends) }] : []
  })
}

/** All that was ever billed, by Pod. */
export async function readBill({ admin }: Story): Promise<Bill> {
  const query = { fromMs: '0', toMs: String(systemClock.wallMs()), by: 'pod' }
  return (await admin('/v1/bill', query)) as Bill
}
