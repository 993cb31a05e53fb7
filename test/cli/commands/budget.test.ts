import { expect, it } from 'vitest'
import { formatBudgets } from '../../../src/cli/commands/budget.ts'
import type { BudgetView } from '../../../src/console/api/contract.ts'

const burst: BudgetView = {
  owner: 'VirtualNodePool',
  name: 'burst',
  state: 'NearCap',
  isClosed: false,
  message: 'of $10.00 per hour $8.50 are spent and $1.00 reserved for what runs',
  outlook: 'what runs costs $2.00 an hour: it comes to $9.50 of $10.00',
  currency: 'USD',
  atCap: 'StopNew',
  warnAtPercent: 80,
  perHour: '2',
  periods: [
    {
      period: 'hour',
      cap: '10',
      spent: '8.5',
      reserved: '1',
      forecast: '9.5',
      endsMs: 0,
      spentMs: undefined,
    },
    {
      period: 'month',
      cap: '900',
      spent: '8.5',
      reserved: '700',
      forecast: '708.5',
      endsMs: 0,
      spentMs: undefined,
    },
  ],
}

it('prints a row for each cap, and what it means', () => {
  const odd: BudgetView = {
    ...burst,
    owner: 'Namespace',
    name: 'shop',
    state: 'Unreadable',
    message: 'nothing new starts: …',
    outlook: '',
    periods: [],
  }
  expect(formatBudgets({ atMs: 0, budgets: [burst, odd] })).toBe(
    `OWNER                  PERIOD      CAP  SPENT  RESERVED  FORECAST  STATE
VirtualNodePool burst  hour     $10.00  $8.50     $1.00     $9.50  NearCap
VirtualNodePool burst  month   $900.00  $8.50   $700.00   $708.50  NearCap
Namespace shop                                                     Unreadable

VirtualNodePool burst: of $10.00 per hour $8.50 are spent and $1.00 reserved for what runs; what runs costs $2.00 an hour: it comes to $9.50 of $10.00
Namespace shop: nothing new starts: …
`,
  )
  expect(formatBudgets({ atMs: 0, budgets: [] })).toBe('No policy, pool or namespace has a budget.\n')
})
