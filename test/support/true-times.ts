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

/** All that was ever billed, by Pod. */
export async function readBill({ admin }: Story): Promise<Bill> {
  const query = { fromMs: '0', toMs: String(systemClock.wallMs()), by: 'pod' }
  return (await admin('/v1/bill', query)) as Bill
}
