import { describe, expect, test } from 'vitest'
import type { BurstPolicyStatus } from '../../../src/scheduling/burst/burst-policy-object.ts'
import { burstStatus, differs, type BurstTally } from '../../../src/scheduling/burst/burst-status.ts'
import { addNanos, noNanos, type Commitment } from '../../../src/scheduling/burst/spend.ts'
import { policySample } from './samples.ts'

const nowWallMs = Date.parse('2026-03-10T10:30:00Z')
const policy = policySample('capped', {
  spec: { pools: ['burst'], spend: { currency: 'USD', perHour: '10', perDay: '100' } },
})
const dollar = 1_000_000_000n

function committed(spent: bigint, reserved: bigint): Commitment {
  const each = (value: bigint) => ({ hour: value * dollar, day: value * dollar, month: value * dollar })
  return { spent: each(spent), reserved: each(reserved) }
}

function statusOf(
  tally: Partial<BurstTally>,
  previous?: BurstPolicyStatus,
  pools = ['burst'],
): BurstPolicyStatus {
  const none = { workloads: 1, pods: 2, virtualPods: 1, held: [], commitment: undefined, forecast: undefined }
  const forecast = tally.commitment && addNanos(tally.commitment.spent, tally.commitment.reserved)
  return burstStatus(policy, { ...none, forecast, ...tally }, { pools, previous, nowWallMs })
}

function budgetOf(status: BurstPolicyStatus): string | undefined {
  const condition = status.conditions?.find(({ type }) => type === 'BudgetExhausted')
  return condition && `${condition.status} ${condition.reason}: ${condition.message}`
}

describe('the status of a policy', () => {
  test('counts, and says where each cap stands, the nearest first', () => {
    expect(statusOf({ commitment: committed(2n, 3n) })).toEqual({
      observedGeneration: 1,
      workloads: 1,
      pods: 2,
      virtualPods: 1,
      heldPods: 0,
      spend: {
        summary: '$2.00 of $10.00 per hour',
        currency: 'USD',
        hour: { spent: '2', reserved: '3', forecast: '5', cap: '10' },
        day: { spent: '2', reserved: '3', forecast: '5', cap: '100' },
      },
      conditions: [
        expect.objectContaining({
          type: 'Accepted',
          status: 'True',
          lastTransitionTime: '2026-03-10T10:30:00Z',
        }),
        expect.objectContaining({ type: 'BudgetExhausted', status: 'False', reason: 'WithinBudget' }),
      ],
    })
  })

  test('says no word about money before it is known', () => {
    const status = statusOf({})
    expect(status.spend).toBeNull()
    expect(budgetOf(status)).toBeUndefined()
  })

  test('warns near a cap, says when there is no room, and when it is spent', () => {
    expect(budgetOf(statusOf({ commitment: committed(7n, 0n) }))).toContain('False WithinBudget')
    expect(budgetOf(statusOf({ commitment: committed(8n, 1n) }))).toBe(
      'False NearCap: of $10.00 per hour $8.00 are spent and $1.00 reserved for what runs; people are to be warned at 80 %',
    )
    expect(budgetOf(statusOf({ commitment: committed(4n, 6n) }))).toBe(
      'True NoRoom: of $10.00 per hour $4.00 are spent and $6.00 reserved for what runs',
    )
    const held = [{ policy: policy.uid, why: 'budget', told: '' }] as const
    expect(budgetOf(statusOf({ commitment: committed(4n, 5n), held }))).toBe(
      'True NoRoom: of $10.00 per hour $4.00 are spent and $5.00 reserved for what runs; 1 Pod waits',
    )
    expect(budgetOf(statusOf({ commitment: committed(10n, 0n) }))).toBe(
      'True CapSpent: $10.00 of $10.00 per hour are spent; nothing more goes out, what runs goes on',
    )
  })

  test('names pools that are not there, and fields that cannot be read', () => {
    expect(statusOf({}, undefined, ['other']).conditions?.[0]).toMatchObject({
      status: 'False',
      reason: 'UnknownPool',
      message: 'spec.pools: found burst; there are: other',
    })
    const unreadable = policySample('odd', { spec: { mode: 'Maybe' } })
    const tally = {
      workloads: 0,
      pods: 0,
      virtualPods: 0,
      held: [],
      commitment: undefined,
      forecast: undefined,
    }
    const { conditions } = burstStatus(unreadable, tally, { pools: [], previous: undefined, nowWallMs })
    expect(conditions?.[0]).toMatchObject({ status: 'False', reason: 'Unreadable' })
  })

  test('says of Always whether it holds from the start', () => {
    const tally = {
      workloads: 0,
      pods: 0,
      virtualPods: 0,
      held: [],
      commitment: undefined,
      forecast: undefined,
    }
    const always = (holds: boolean): BurstPolicyStatus => {
      const atCreation = { holds, because: 'so it is' }
      return burstStatus(policy, tally, { pools: ['burst'], atCreation, previous: undefined, nowWallMs })
    }
    const of = ({ conditions }: BurstPolicyStatus) => conditions?.find(({ type }) => type === 'AtCreation')
    expect(of(always(true))).toMatchObject({ status: 'True', reason: 'FromTheStart', observedGeneration: 1 })
    expect(of(always(false))).toMatchObject({ status: 'False', reason: 'AfterRefusal', message: 'so it is' })
    expect(of(statusOf({}))).toBeUndefined()
    expect(differs(always(true), always(false))).toBe(true)
  })

  test('keeps the time of a condition that stays, and is written anew for more than money', () => {
    const before = statusOf({ commitment: committed(2n, 3n) })
    const later = burstStatus(
      policy,
      { workloads: 1, pods: 2, virtualPods: 1, held: [], commitment: committed(3n, 2n), forecast: noNanos },
      { pools: ['burst'], previous: before, nowWallMs: nowWallMs + 60_000 },
    )
    expect(later.conditions?.[0]?.lastTransitionTime).toBe('2026-03-10T10:30:00Z')
    expect(differs(before, later)).toBe(false)
    expect(differs(before, statusOf({ commitment: committed(3n, 2n), virtualPods: 2 }))).toBe(true)
    expect(differs(before, statusOf({ commitment: committed(9n, 0n) }))).toBe(true)
    expect(differs(undefined, before)).toBe(true)
  })
})
