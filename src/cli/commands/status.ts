import { Command } from 'commander'
import type { StatusView } from '../../console/api/contract.ts'
import { askAdmin } from '../admin-client.ts'
import type { CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'
import { formatTable } from '../table.ts'
import { formatDuration } from '../times.ts'

/** `spillway status`: pools, virtual nodes, Pods, and what they cost an hour now. */
export function statusCommand(context: CliContext): Command {
  return new Command('status')
    .description('pools, virtual nodes, Pods, and the spend per hour now')
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .action(async (_options: unknown, command: Command) => {
      const options = { ...globalOptions(command), ...command.opts<{ server?: string }>() }
      const target = adminTarget(options, context)
      const status = (await askAdmin({ target }, '/v1/status', {}, context.signal)) as StatusView
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(status)
      else output.write(formatStatus(status))
    })
}

/** Three tables and a sum. */
export function formatStatus(status: StatusView): string {
  const pools = formatTable(
    [
      { title: 'pool' },
      { title: 'backend' },
      { title: 'nodes', right: true },
      { title: 'pods', right: true },
      { title: 'price book' },
    ],
    status.pools.map((pool) => [
      pool.name,
      pool.backend,
      `${pool.readyNodes}/${pool.nodes}`,
      String(pool.pods),
      pool.priceBook,
    ]),
  )
  const nodes = formatTable(
    [{ title: 'node' }, { title: 'status' }, { title: 'pods', right: true }, { title: 'reason' }],
    status.nodes.map((node) => [node.name, nodeStatus(node), `${node.pods}/${node.podLimit}`, node.reason]),
  )
  const pods = formatTable(
    [
      { title: 'namespace' },
      { title: 'pod' },
      { title: 'node' },
      { title: 'status' },
      { title: 'spec' },
      { title: 'per hour', right: true },
      { title: 'billed for', right: true },
    ],
    status.pods.map((pod) => [
      pod.namespace,
      pod.name,
      pod.node,
      pod.ready ? 'Ready' : pod.phase,
      pod.spec,
      pod.perHour ? `${pod.perHour.amount} ${pod.perHour.currency}` : '',
      pod.billedSinceMs === undefined ? '' : formatDuration(status.atMs - pod.billedSinceMs),
    ]),
  )
  const spend = status.ledgerTrouble
    ? `not known: ${status.ledgerTrouble}`
    : status.spendPerHour.map(({ currency, amount }) => `${amount} ${currency}`).join(' + ') || 'nothing'
  const spendLine = `Spend per hour now: ${spend}\n`
  const podTable = status.pods.length > 0 ? `${pods}\n` : ''
  return `${pools}\n${nodes}\n${podTable}${spendLine}${ledgerLine(status)}`
}

function ledgerLine({ ledger, atMs }: StatusView): string {
  const { status, reason, message, checkedAtMs } = ledger
  if (status === 'False') return `Ledger: ${reason}: ${message}\n`
  if (checkedAtMs === undefined) return `Ledger: ${message}\n`
  return `Ledger: every claim held ${formatDuration(atMs - checkedAtMs)} ago\n`
}

function nodeStatus({ ready, schedulable }: { ready: boolean; schedulable: boolean }): string {
  return `${ready ? 'Ready' : 'NotReady'}${schedulable ? '' : ',SchedulingDisabled'}`
}
