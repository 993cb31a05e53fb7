import { Command } from 'commander'
import type { ReconcileRow } from '../../billing/reconcile.ts'
import { askAdmin } from '../admin-client.ts'
import { exitCodes, type CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'
import { formatTable } from '../table.ts'

/** `spillway ledger reconcile`: exit code 3 when API server, backends and ledger do not agree. */
export function ledgerReconcileCommand(context: CliContext, exit: (code: number) => void): Command {
  return new Command('reconcile')
    .description('compare what the API server wants, what the backends run, and what is billed')
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .action(async (flags: { readonly server?: string }, command: Command) => {
      const options = { ...globalOptions(command), ...flags }
      const target = adminTarget(options, context)
      const rows = (await askAdmin(
        { target },
        '/v1/ledger/reconcile',
        {},
        context.signal,
      )) as readonly ReconcileRow[]
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(rows)
      else output.write(formatReconcile(rows))
      if (rows.some(({ agrees }) => !agrees)) exit(exitCodes.claimFalse)
    })
}

/** Each Pod that they do not agree on, and how many of each case there are. */
export function formatReconcile(rows: readonly ReconcileRow[]): string {
  const different = rows.filter(({ agrees }) => !agrees)
  const counts = [...Map.groupBy(rows, (row) => row.case)].map(([name, own]) => `${own.length} ${name}`)
  const summary = `${rows.length} Pods: ${counts.join('; ') || 'none'}\n`
  if (different.length === 0) return `${summary}API server, backends and ledger agree.\n`
  const columns = ['namespace', 'pod', 'api', 'backend', 'ledger', 'case', 'what follows']
  const cells = different.map((row) => [
    row.namespace,
    row.pod,
    ...[row.api, row.backend, row.ledger].map((there) => (there ? 'yes' : '-')),
    row.case,
    row.outcome,
  ])
  const table = formatTable(
    columns.map((title) => ({ title })),
    cells,
  )
  return `${table}\n${summary}`
}
