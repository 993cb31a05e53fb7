import { describe, expect, test } from 'vitest'
import { isGrouping, matches, settle } from '../../src/billing/bill-query.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'

const names = {
  namespace: 'shop',
  workload: 'Job/report',
  pod: 'report-x',
  podUid: 'uid-1',
  pool: 'burst',
  labels: { team: 'web=2', empty: '' },
}

describe('a filter', () => {
  test.each([
    {},
    { namespaces: [], pools: [], workloads: [], labels: [] },
    { namespaces: ['etl', 'shop'] },
    { pools: ['burst'] },
    { workloads: ['Job'] },
    { workloads: ['Deployment', 'Job/report'] },
    { labels: ['team=web=2', 'empty'] },
    { labels: ['empty='] },
    { pod: 'report-x' },
    { pod: 'shop/report-x' },
    { pod: 'uid-1' },
    { namespaces: ['shop'], pools: ['burst'], workloads: ['Job'], labels: ['team'], pod: 'report-x' },
  ])('%j lets it through', (filter) => {
    expect(matches(names, filter)).toBe(true)
  })

  test.each([
    { namespaces: ['etl'] },
    { pools: ['night'] },
    { workloads: ['Jo'] },
    { workloads: ['Job/reports'] },
    { labels: ['team=web'] },
    { labels: ['team', 'tier'] },
    { labels: ['toString'] },
    { pod: 'etl/report-x' },
    { namespaces: ['shop'], pools: ['night'] },
  ])('%j keeps it out', (filter) => {
    expect(matches(names, filter)).toBe(false)
  })
})

test.each(['namespace', 'workload', 'pod', 'pool', 'day', 'label:app.kubernetes.io/name'])(
  'a bill can be by %s',
  (text) => expect(isGrouping(text)).toBe(true),
)

test.each(['', 'team', 'label:', 'label', 'Day', 'label:a,b'])('a bill cannot be by "%s"', (text) =>
  expect(isGrouping(text)).toBe(false),
)

test('a period is widened to whole hours, and one view is a list of one', () => {
  expect(
    settle(
      { fromMs: start + 1, toMs: start + 3_600_001, by: 'day', nowMs: start },
      { sealedUntilMs: -Infinity },
    ),
  ).toEqual({
    fromMs: start,
    toMs: start + 7_200_000,
    by: ['day'],
    nowMs: start,
    sealed: false,
  })
})
