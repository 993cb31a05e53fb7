import { untilAborted, type Task } from '../control/tasks.ts'
import type { LedgerFinding } from '../model/ledger-finding.ts'
import type { House } from './house.ts'
import type { VirtualNodes } from './virtual-nodes.ts'

interface Note {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

/** Tells of the ledger and of the clock, which are of no one Pod or pool, on every virtual Node. */
export function nodesVoice(
  {
    cluster,
    ledgerHealth,
    clockSteps,
    events,
  }: Pick<House, 'cluster' | 'ledgerHealth' | 'clockSteps' | 'events'>,
  virtualNodes: Pick<VirtualNodes, 'names'>,
): Task {
  /** Nodes, and what they were told is wrong with the ledger. */
  const told = new Map<string, LedgerFinding['reason']>()
  /** Answers whether the Node is there to be told. */
  const say = (name: string, note: Note): boolean => {
    const uid = cluster.nodes.get({ name })?.metadata?.uid
    if (uid === undefined) return false
    events.record({ object: { apiVersion: 'v1', kind: 'Node', name, uid }, ...note })
    return true
  }
  const tellLedger = (): void => {
    const { status, reason, message } = ledgerHealth.finding
    if (status !== 'False') {
      for (const name of told.keys()) say(name, { type: 'Normal', reason: 'LedgerReady', message })
      told.clear()
      return
    }
    for (const name of virtualNodes.names) {
      if (told.get(name) === reason) continue
      if (say(name, { type: 'Warning', reason, message })) told.set(name, reason)
    }
  }
  const tellClock = (byMs: number): void => {
    const message = `the wall clock was set ${byMs < 0 ? 'back' : 'ahead'} by ${Math.abs(byMs) / 1000} s: Pods that run go on being billed as if it were not`
    for (const name of virtualNodes.names) say(name, { type: 'Warning', reason: 'ClockSet', message })
  }
  return async (signal) => {
    // A Node may come to be while the ledger is in trouble.
    const ends = [
      ledgerHealth.subscribe(tellLedger),
      cluster.nodes.subscribe(tellLedger),
      clockSteps.subscribe(tellClock),
    ]
    tellLedger()
    await untilAborted(signal)
    for (const end of ends) end()
  }
}
