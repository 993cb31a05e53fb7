import { Command } from 'commander'
import type { BudgetsView, BudgetView } from '../../console/api/contract.ts'
import { formatMoney, nanoScale, parseDecimal, roundRational } from '../../model/money.ts'
import { askAdmin } from '../admin-client.ts'
import { exitCodes, type CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'
import { formatTable } from '../table.ts'

/** `spillway budget`: how the caps of all policies, pools and namespaces stand, and where they lead. */
export function budgetCommand(context: CliContext, exit: (code: number) => void): Command {
  return new Command('budget')
    .description('how the budgets of policies, pools and namespaces stand, and where they lead')
    .option('--check', 'exit with 3 when nothing more may start under one of them', false)
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .action(async (flags: { check: boolean }, command: Command) => {
      const options = { ...globalOptions(command), ...command.opts<{ server?: string }>() }
      const target = adminTarget(options, context)
      const view = (await askAdmin({ target }, '/v1/budgets', {}, context.signal)) as BudgetsView
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(view)
      else output.write(formatBudgets(view))
      if (flags.check && view.budgets.some(({ isClosed }) => isClosed)) exit(exitCodes.claimFalse)
    })
}

/** One row a cap, then a sentence a budget. */
export function formatBudgets({ budgets }: BudgetsView): string {
  if (budgets.length === 0) {
    return 'No policy, pool or namespace has a budget.\n'
  }
  const columns = [
    { title: 'owner' },
    { title: 'period' },
    ...['cap', 'spent', 'reserved', 'forecast'].map((title) => ({ title, right: true })),
    { title: 'state' },
  ]
  const sentences = budgets.map(
    (budget) => `${titleOf(budget)}: ${[budget.message, budget.outlook].filter(Boolean).join('; ')}\n`,
  )
  return `${formatTable(columns, budgets.flatMap(rowsOf))}\n${sentences.join('')}`
}

function rowsOf(budget: BudgetView): readonly (readonly string[])[] {
  const { periods, currency, state } = budget
  const money = (amount: string): string =>
    formatMoney(roundRational(parseDecimal(amount), nanoScale, 'half_even'), currency)
  if (periods.length === 0) return [[titleOf(budget), '', '', '', '', '', state]]
  return periods.map(({ period, cap, spent, reserved, forecast }) => [
    titleOf(budget),
    period,
    ...[cap, spent, reserved, forecast].map(money),
    state,
  ])
}

function titleOf({ owner, name }: BudgetView): string {
  return `${owner} ${name}`
}
