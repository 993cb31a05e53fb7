import { describe, expect, test } from 'vitest'
import { inOrder, selects } from '../../../src/scheduling/burst/burst-policy.ts'
import { policySample } from './samples.ts'

const home = { metadata: { name: 'shop', labels: { env: 'prod' } } }

describe('a policy', () => {
  test('of a namespace is about Pods there, and of the cluster about namespaces that it selects', () => {
    const pod = { namespace: 'shop', labels: { app: 'web' } }
    expect(selects(policySample('all'), pod, home)).toBe(true)
    expect(selects(policySample('other', { namespace: 'yard' }), pod, home)).toBe(false)
    const cluster = (spec: object): boolean =>
      selects(policySample('c', { kind: 'ClusterBurstPolicy', spec }), pod, home)
    expect(cluster({})).toBe(true)
    expect(cluster({ namespaceSelector: { matchLabels: { env: 'prod' } } })).toBe(true)
    expect(cluster({ namespaceSelector: { matchLabels: { env: 'test' } } })).toBe(false)
    expect(
      cluster({
        namespaceSelector: { matchLabels: { env: 'prod' } },
        podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] },
      }),
    ).toBe(false)
  })

  test('comes before another by its namespace, its requirements, its age and its name, in that order', () => {
    const two = { podSelector: { matchLabels: { a: '1', b: '2' } } }
    const ordered = inOrder([
      policySample('cluster-of-two', {
        kind: 'ClusterBurstPolicy',
        spec: two,
        created: '2020-01-01T00:00:00Z',
      }),
      policySample('b-young', { created: '2026-02-01T00:00:00Z' }),
      policySample('c-old'),
      policySample('a-young', { created: '2026-02-01T00:00:00Z' }),
      policySample('of-two', { spec: two, created: '2026-03-01T00:00:00Z' }),
    ])
    expect(ordered.map(({ name }) => name)).toEqual([
      'of-two',
      'c-old',
      'a-young',
      'b-young',
      'cluster-of-two',
    ])
  })

  test('that cannot be read keeps in whom it selects, and everybody when its selector cannot be read either', () => {
    const web = { podSelector: { matchLabels: { app: 'web' } } }
    const newer = policySample('newer', { spec: { ...web, mode: 'Maybe' } })
    expect(newer).toMatchObject({
      problems: ['spec.mode: found "Maybe"; allowed: "Auto", "Never", "Always"'],
    })
    expect(newer.spec.mode).toBe('Never')
    expect(selects(newer, { namespace: 'shop', labels: { app: 'web' } }, home)).toBe(true)
    expect(selects(newer, { namespace: 'shop', labels: { app: 'db' } }, home)).toBe(false)
    const wild = policySample('wild', { spec: { podSelector: { matchFields: {} } } })
    expect(selects(wild, { namespace: 'shop', labels: { app: 'db' } }, home)).toBe(true)
  })
})
