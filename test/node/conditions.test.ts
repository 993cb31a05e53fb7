import { describe, expect, it } from 'vitest'
import type { BackendHealth } from '../../src/backends/backend.ts'
import type { BudgetFinding } from '../../src/model/budget-finding.ts'
import type { LedgerFinding } from '../../src/model/ledger-finding.ts'
import type { NodeCondition } from '../../src/model/kubernetes.ts'
import { conditionsDiffer, nodeConditions } from '../../src/node/conditions.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { healthSample } from './samples.ts'

const sandbox = { status: 'True', reason: 'HandlerOffered', message: 'sandboxes are made by runsc' } as const
const now = '2026-01-01T00:00:00Z'
const before = '2025-12-31T00:00:00Z'

function conditions(
  health: BackendHealth,
  more: {
    lostForMs?: number
    previous?: readonly NodeCondition[]
    budget?: BudgetFinding
    ledger?: LedgerFinding
  } = {},
): Record<string, NodeCondition> {
  const { lostForMs, previous = [], ...findings } = more
  const found = nodeConditions({ health, sandbox, lostForMs, previous, ...findings, nowWallMs: fakeEpochMs })
  return Object.fromEntries(found.map((condition) => [condition.type, condition]))
}

const wasReady: NodeCondition[] = [{ type: 'Ready', status: 'True', lastTransitionTime: before }]

describe('nodeConditions', () => {
  it('are all well while everything answers', () => {
    const found = conditions(healthSample())
    expect(Object.fromEntries(Object.entries(found).map(([type, { status }]) => [type, status]))).toEqual({
      Ready: 'True',
      'spillway.dev/BackendReady': 'True',
      'spillway.dev/SandboxReady': 'True',
      MemoryPressure: 'False',
      DiskPressure: 'False',
      PIDPressure: 'False',
      NetworkUnavailable: 'False',
    })
  })

  it('say how the ledger is, which the node itself has nothing to do with', () => {
    const ledger = { status: 'False', reason: 'LedgerCorrupt', message: 'event 3 was changed' } as const
    const found = conditions(healthSample(), { ledger })
    expect(found['spillway.dev/LedgerReady']).toMatchObject({ ...ledger, lastTransitionTime: now })
    expect(found['Ready']?.status).toBe('True')
    expect(conditions(healthSample())['spillway.dev/LedgerReady']).toBeUndefined()
  })

  it('say whether the budget of the pool has room, and that it has none any more', () => {
    const budget = { status: 'False', reason: 'CapSpent', message: '$1.00 of $1.00 are spent' } as const
    const found = conditions(healthSample(), { budget })['spillway.dev/WithinBudget']
    expect(found).toMatchObject({ ...budget, lastTransitionTime: now })
    const later = conditions(healthSample(), { previous: found ? [found] : [] })
    expect(later['spillway.dev/WithinBudget']).toMatchObject({ status: 'True', reason: 'NoBudget' })
    expect(conditions(healthSample())['spillway.dev/WithinBudget']).toBeUndefined()
  })

  it.each([
    ['memory', 'MemoryPressure'],
    ['disk', 'DiskPressure'],
    ['pids', 'PIDPressure'],
    ['network', 'NetworkUnavailable'],
  ] as const)('name trouble with %s as %s and leave the Node Ready', (part, type) => {
    const trouble = { ok: false, reason: 'Bad', message: 'it is bad' }
    const found = conditions({ ...healthSample(), [part]: trouble })
    expect(found[type]).toMatchObject({ status: 'True', reason: 'Bad', message: 'it is bad' })
    expect(found['Ready']?.status).toBe('True')
  })

  it.each([
    [0, 'True'],
    [29_999, 'True'],
    [30_000, 'False'],
  ])('of a backend lost for %i ms: BackendReady False, Ready %s', (lostForMs, ready) => {
    const found = conditions(healthSample({ lost: true }), { lostForMs, previous: wasReady })
    expect(found['spillway.dev/BackendReady']?.status).toBe('False')
    expect(found['Ready']?.status).toBe(ready)
  })

  it.each([[[]], [[{ type: 'Ready', status: 'Unknown' }]], [[{ type: 'Ready', status: 'False' }]]])(
    'give no grace to a Node that was not Ready: %j',
    (previous) => {
      expect(conditions(healthSample({ lost: true }), { lostForMs: 0, previous })['Ready']?.status).toBe(
        'False',
      )
    },
  )

  it('keep the time of the last transition as long as the status stays', () => {
    const ready = conditions(healthSample(), { previous: wasReady })['Ready']
    expect(ready).toMatchObject({ lastTransitionTime: before, lastHeartbeatTime: now })
    const lost = conditions(healthSample({ lost: true }), { lostForMs: 30_000, previous: wasReady })['Ready']
    expect(lost).toMatchObject({ lastTransitionTime: now, lastHeartbeatTime: now })
  })

  it('do not differ by their heartbeat alone', () => {
    const found = Object.values(conditions(healthSample()))
    const older = found.map((condition) => ({ ...condition, lastHeartbeatTime: before }))
    expect(conditionsDiffer(found, older)).toBe(false)
    expect(conditionsDiffer(found, older.slice(1))).toBe(true)
    expect(conditionsDiffer(found, [{ type: 'Other', status: 'True' }, ...older])).toBe(false)
  })
})
