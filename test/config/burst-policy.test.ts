import { describe, expect, test } from 'vitest'
import { compileBurstSpec, type BurstSpec } from '../../src/config/burst-policy.ts'

function compiled(raw: unknown): BurstSpec {
  const result = compileBurstSpec('ClusterBurstPolicy', raw)
  if (!result.ok) throw new Error(result.problems.join('\n'))
  return result.spec
}

function problemsOf(raw: unknown): readonly string[] {
  const result = compileBurstSpec('ClusterBurstPolicy', raw)
  return result.ok ? [] : result.problems
}

describe('the spec of a burst policy', () => {
  test('an empty one changes nothing', () => {
    expect(compiled({})).toEqual({
      namespaceSelector: undefined,
      podSelector: undefined,
      mode: 'Auto',
      waitSeconds: 0,
      maxVirtualReplicas: undefined,
      minServerReplicas: 0,
      pools: undefined,
      spend: undefined,
      quietHours: [],
      scaleIn: 'VirtualFirst',
      moveBack: undefined,
    })
  })

  test('money is exact to the nano-unit, and quiet hours are minutes of a day', () => {
    const spec = compiled({
      spend: { currency: 'USD', perHour: '1.5', perMonth: '0.000000001' },
      quietHours: [{ days: ['Sat', 'Mon'], from: '22:30', to: '06:00', timeZone: 'Europe/Berlin' }],
      moveBack: { afterSeconds: 60 },
    })
    expect(spec.spend).toEqual({
      currency: 'USD',
      nanos: { hour: 1_500_000_000n, month: 1n },
      warnAtPercent: 80,
      atCap: 'StopNew',
    })
    expect(spec.quietHours).toEqual([
      {
        days: [5, 0],
        fromMinute: 1350,
        toMinute: 360,
        timeZone: 'Europe/Berlin',
        text: 'Sat, Mon 22:30–06:00 Europe/Berlin',
      },
    ])
    expect(spec.moveBack).toEqual({
      enabled: true,
      afterSeconds: 60,
      reservePercent: undefined,
      giveUpAfterSeconds: undefined,
    })
  })

  test('all that is wrong is told at once, each with its field', () => {
    expect(
      problemsOf({
        podSelector: {
          matchLabels: { 'no key': 'x' },
          matchExpressions: [
            { key: 'a', operator: 'In' },
            { key: 'b', operator: 'Exists', values: ['x'] },
          ],
        },
        pools: ['burst', 'burst'],
        spend: { currency: 'USD' },
        quietHours: [{ days: ['Mon', 'Mon'], from: '10:00', to: '10:00', timeZone: 'Europe/Atlantis' }],
      }),
    ).toEqual([
      'spec.podSelector.matchLabels: found key "no key"; allowed: label keys, as in example.com/tier',
      'spec.podSelector.matchExpressions[0]: found operator In without values; allowed: values with In and NotIn, none with Exists and DoesNotExist',
      'spec.podSelector.matchExpressions[1]: found operator Exists with values; allowed: values with In and NotIn, none with Exists and DoesNotExist',
      'spec.pools: found "burst" twice; allowed: each once',
      'spec.spend: found no cap; allowed: at least one of perHour, perDay and perMonth',
      'spec.quietHours[0].days: found "Mon" twice; allowed: each once',
      'spec.quietHours[0]: found from and to 10:00; allowed: two different times, as in 00:00 and 24:00',
      'spec.quietHours[0].timeZone: found "Europe/Atlantis"; allowed: IANA names, as in Europe/Berlin',
    ])
    expect(problemsOf({ mode: 'Sometimes', waitSeconds: -1 })).toEqual([
      'spec.mode: found "Sometimes"; allowed: "Auto", "Never", "Always"',
      'spec.waitSeconds: found -1; it must be >= 0',
    ])
  })

  test('only the cluster’s policies select namespaces', () => {
    const result = compileBurstSpec('BurstPolicy', { namespaceSelector: {} })
    expect(result).toMatchObject({ ok: false })
    expect(compileBurstSpec('ClusterBurstPolicy', { namespaceSelector: {} }).ok).toBe(true)
  })
})
