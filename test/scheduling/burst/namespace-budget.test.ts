import { describe, expect, test } from 'vitest'
import { namespaceBudget } from '../../../src/scheduling/burst/namespace-budget.ts'

const budgetOf = (annotations: Record<string, string>) =>
  namespaceBudget({ metadata: { name: 'shop', annotations } })

describe('the budget of a namespace', () => {
  test('is what its annotations say', () => {
    expect(budgetOf({})).toBeUndefined()
    expect(
      budgetOf({
        'spillway.dev/budget-per-hour': '1.5 USD',
        'spillway.dev/budget-per-month': '900 USD',
        'spillway.dev/budget-warn-at-percent': '50',
        'spillway.dev/budget-at-cap': 'Stop',
      }),
    ).toEqual({
      caps: {
        currency: 'USD',
        nanos: { hour: 1_500_000_000n, month: 900_000_000_000n },
        warnAtPercent: 50,
        atCap: 'Stop',
      },
      problems: [],
    })
  })

  test.each([
    [
      { 'spillway.dev/budget-per-day': '10' },
      'spillway.dev/budget-per-day: found "10"; allowed: an amount and a currency, as in "10.50 USD"',
    ],
    [{ 'spillway.dev/budget-per-day': '-1 USD' }, 'spillway.dev/budget-per-day: found "-1 USD"'],
    [
      { 'spillway.dev/budget-per-day': '1 USD', 'spillway.dev/budget-per-hour': '1 EUR' },
      'found EUR and USD; allowed: one currency',
    ],
    [
      { 'spillway.dev/budget-per-day': '1 USD', 'spillway.dev/budget-warn-at-percent': '101' },
      'spillway.dev/budget-warn-at-percent: found "101"; allowed: 1 to 100',
    ],
    [
      { 'spillway.dev/budget-per-day': '1 USD', 'spillway.dev/budget-at-cap': 'kill' },
      'spillway.dev/budget-at-cap: found "kill"; allowed: StopNew, Stop',
    ],
    [{ 'spillway.dev/budget-at-cap': 'Stop' }, 'found no cap; allowed: at least one of'],
  ])('that cannot be read has the reason, and no caps: %j', (annotations, problem) => {
    const found = budgetOf(annotations)
    expect(found?.caps).toBeUndefined()
    expect(found?.problems.join()).toContain(problem)
  })
})
