/** What the API server itself says to wrong fields of BurstPolicies, by the definitions that people apply. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { compileBurstSpec, type BurstPolicyKind } from '../../src/config/burst-policy.ts'
import { publishDefinitions } from '../../src/dev-cluster/definitions.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { systemClock } from '../../src/model/clock.ts'
import { errorMessage, hasCode } from '../../src/model/errors.ts'
import { burstResources } from '../../src/scheduling/burst/burst-policy-object.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { partOptions } from '../support/small-cluster.ts'

const never = new AbortController().signal
let plane: TestControlPlane
let api: KubeApi & { close(): Promise<void> }

beforeAll(async () => {
  plane = await startTestControlPlane()
  const credentials = explicitCredentials(plane.controlPlane.admin)
  api = createKubeClient({ ...partOptions, credentials, userAgent: 'journey' })
  await publishDefinitions(api, systemClock, never)
})

afterAll(async () => {
  await api?.close()
  await plane?.[Symbol.asyncDispose]()
})

/** What the API server says; undefined: it takes it. */
async function refusal(kind: BurstPolicyKind, spec: unknown): Promise<string | undefined> {
  const object = {
    metadata: { name: 'asked', ...(kind === 'BurstPolicy' && { namespace: 'default' }) },
    spec,
  }
  try {
    await api.create(burstResources[kind], object, never)
  } catch (error) {
    if (!hasCode(error, 'Invalid')) throw error
    return errorMessage(error)
  }
  const where = { name: 'asked', ...(kind === 'BurstPolicy' && { namespace: 'default' }) }
  await api.delete(burstResources[kind], where, {}, never)
  return undefined
}

const whole = {
  podSelector: {
    matchLabels: { app: 'web', 'example.com/tier': '' },
    matchExpressions: [
      { key: 'team', operator: 'In', values: ['a', 'b'] },
      { key: 'example.com/old', operator: 'DoesNotExist' },
    ],
  },
  mode: 'Auto',
  waitSeconds: 30,
  maxVirtualReplicas: 10,
  minServerReplicas: 2,
  pools: ['burst', 'spare'],
  spend: {
    currency: 'USD',
    perHour: '1.50',
    perDay: '20',
    perMonth: '300.000000001',
    warnAtPercent: 90,
    atCap: 'Stop',
  },
  quietHours: [
    { days: ['Mon', 'Fri'], from: '22:00', to: '06:00', timeZone: 'Europe/Berlin' },
    { from: '00:00', to: '24:00' },
  ],
  scaleIn: 'None',
  moveBack: { enabled: false, afterSeconds: 600, reservePercent: 20, giveUpAfterSeconds: 60 },
}

describe('the API server', () => {
  test('takes a policy of either kind with every field set, and one with none', async () => {
    expect(await refusal('BurstPolicy', whole)).toBeUndefined()
    const cluster = { ...whole, namespaceSelector: { matchLabels: { env: 'prod' } } }
    expect(await refusal('ClusterBurstPolicy', cluster)).toBeUndefined()
    expect(await refusal('BurstPolicy', {})).toBeUndefined()
    expect(await refusal('ClusterBurstPolicy', {})).toBeUndefined()
  })

  test('takes the examples', async () => {
    const text = readFileSync(join(import.meta.dirname, '../../examples/burst-policies.yaml'), 'utf8')
    for (const document of parseAllDocuments(text)) {
      const { kind, spec } = document.toJS() as { kind: BurstPolicyKind; spec: unknown }
      expect(compileBurstSpec(kind, spec)).toMatchObject({ ok: true })
      expect(await refusal(kind, spec)).toBeUndefined()
    }
  })

  const selectorCases = (field: string): [string, unknown, string, string][] => [
    [
      `${field}.matchLabels key`,
      { [field]: { matchLabels: { 'no key': 'x' } } },
      `spec.${field}.matchLabels`,
      'example.com/tier',
    ],
    [
      `${field}.matchLabels value`,
      { [field]: { matchLabels: { a: 'no value!' } } },
      `spec.${field}.matchLabels.a`,
      'should match',
    ],
    [
      `${field}.matchExpressions key`,
      { [field]: { matchExpressions: [{ key: '-', operator: 'Exists' }] } },
      `spec.${field}.matchExpressions[0].key`,
      'should match',
    ],
    [
      `${field}.matchExpressions operator`,
      { [field]: { matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] } },
      `spec.${field}.matchExpressions[0].operator`,
      '"DoesNotExist"',
    ],
    [
      `${field} In without values`,
      { [field]: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
      `spec.${field}.matchExpressions[0]`,
      'found operator In without values; allowed: values with In and NotIn',
    ],
    [
      `${field} Exists with values`,
      { [field]: { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['x'] }] } },
      `spec.${field}.matchExpressions[0]`,
      'found operator Exists with values',
    ],
    [
      `${field} values`,
      { [field]: { matchExpressions: [{ key: 'a', operator: 'In', values: ['no value!'] }] } },
      `spec.${field}.matchExpressions[0].values[0]`,
      'should match',
    ],
  ]

  const wrong: [string, unknown, string, string][] = [
    ...selectorCases('podSelector'),
    ['mode', { mode: 'Sometimes' }, 'spec.mode', 'supported values: "Auto", "Never", "Always"'],
    ['waitSeconds', { waitSeconds: -1 }, 'spec.waitSeconds', 'greater than or equal to 0'],
    ['waitSeconds too long', { waitSeconds: 86_401 }, 'spec.waitSeconds', 'less than or equal to 86400'],
    ['maxVirtualReplicas', { maxVirtualReplicas: 1.5 }, 'spec.maxVirtualReplicas', 'must be of type integer'],
    ['minServerReplicas', { minServerReplicas: -2 }, 'spec.minServerReplicas', 'greater than or equal to 0'],
    ['pools empty', { pools: [] }, 'spec.pools', 'at least 1'],
    ['pools name', { pools: ['Burst'] }, 'spec.pools[0]', 'should match'],
    ['pools twice', { pools: ['a', 'a'] }, 'spec.pools', 'found a pool twice; allowed: each once'],
    [
      'spend without a cap',
      { spend: { currency: 'USD' } },
      'spec.spend',
      'found no cap; allowed: at least one of perHour, perDay and perMonth',
    ],
    ['spend.currency missing', { spend: { perHour: '1' } }, 'spec.spend.currency', 'Required value'],
    ['spend.currency', { spend: { currency: 'usd', perHour: '1' } }, 'spec.spend.currency', 'should match'],
    [
      'spend.perHour number',
      { spend: { currency: 'USD', perHour: 1.5 } },
      'spec.spend.perHour',
      'must be of type string',
    ],
    ['spend.perHour', { spend: { currency: 'USD', perHour: '-1' } }, 'spec.spend.perHour', 'should match'],
    ['spend.perDay', { spend: { currency: 'USD', perDay: '1e3' } }, 'spec.spend.perDay', 'should match'],
    [
      'spend.perMonth',
      { spend: { currency: 'USD', perMonth: '1.0000000001' } },
      'spec.spend.perMonth',
      'should match',
    ],
    [
      'spend.warnAtPercent',
      { spend: { currency: 'USD', perHour: '1', warnAtPercent: 0 } },
      'spec.spend.warnAtPercent',
      'greater than or equal to 1',
    ],
    [
      'spend.atCap',
      { spend: { currency: 'USD', perHour: '1', atCap: 'Kill' } },
      'spec.spend.atCap',
      'supported values: "StopNew", "Stop"',
    ],
    [
      'quietHours.from',
      { quietHours: [{ from: '25:00', to: '06:00' }] },
      'spec.quietHours[0].from',
      'should match',
    ],
    [
      'quietHours.from 24:00',
      { quietHours: [{ from: '24:00', to: '06:00' }] },
      'spec.quietHours[0].from',
      'should match',
    ],
    [
      'quietHours.to',
      { quietHours: [{ from: '22:00', to: '24:30' }] },
      'spec.quietHours[0].to',
      'should match',
    ],
    ['quietHours.to missing', { quietHours: [{ from: '22:00' }] }, 'spec.quietHours[0].to', 'Required value'],
    [
      'quietHours equal',
      { quietHours: [{ from: '22:00', to: '22:00' }] },
      'spec.quietHours[0]',
      'found from and to 22:00; allowed: two different times',
    ],
    [
      'quietHours.days',
      { quietHours: [{ days: ['Monday'], from: '22:00', to: '23:00' }] },
      'spec.quietHours[0].days[0]',
      '"Mon"',
    ],
    [
      'quietHours.days twice',
      { quietHours: [{ days: ['Mon', 'Mon'], from: '22:00', to: '23:00' }] },
      'spec.quietHours[0].days',
      'found a day twice',
    ],
    [
      'quietHours.days empty',
      { quietHours: [{ days: [], from: '22:00', to: '23:00' }] },
      'spec.quietHours[0].days',
      'at least 1',
    ],
    [
      'quietHours.timeZone',
      { quietHours: [{ from: '22:00', to: '23:00', timeZone: 'Europe/Atlantis' }] },
      'spec.quietHours[0].timeZone',
      'Atlantis',
    ],
    [
      'quietHours.timeZone Local',
      { quietHours: [{ from: '22:00', to: '23:00', timeZone: 'Local' }] },
      'spec.quietHours[0].timeZone',
      'allowed: IANA names',
    ],
    ['scaleIn', { scaleIn: 'ServerFirst' }, 'spec.scaleIn', 'supported values: "VirtualFirst", "None"'],
    ['moveBack.enabled', { moveBack: { enabled: 'no' } }, 'spec.moveBack.enabled', 'must be of type boolean'],
    [
      'moveBack.giveUpAfterSeconds',
      { moveBack: { giveUpAfterSeconds: 9 } },
      'spec.moveBack.giveUpAfterSeconds',
      'greater than or equal to 10',
    ],
    [
      'moveBack.afterSeconds',
      { moveBack: { afterSeconds: 0 } },
      'spec.moveBack.afterSeconds',
      'greater than or equal to 1',
    ],
    [
      'moveBack.reservePercent',
      { moveBack: { reservePercent: 91 } },
      'spec.moveBack.reservePercent',
      'less than or equal to 90',
    ],
  ]

  test.each(wrong)(
    'refuses a wrong %s, with its path and what is allowed',
    async (_what, spec, path, allowed) => {
      const said = await refusal('BurstPolicy', spec)
      expect(said).toContain(path)
      expect(said).toContain(allowed)
    },
  )

  test.each([...selectorCases('namespaceSelector'), ...wrong.slice(-3)])(
    'refuses a wrong %s in a cluster’s policy',
    async (_what, spec, path, allowed) => {
      const said = await refusal('ClusterBurstPolicy', spec)
      expect(said).toContain(path)
      expect(said).toContain(allowed)
    },
  )

  test('refuses whatever our own reading of the same spec refuses', async () => {
    // Without null: the API server takes that for a field that was left out, and drops it.
    const odd = fc.constantFrom<unknown>(
      '',
      'A',
      '-',
      'no value!',
      'x'.repeat(64),
      -1,
      100_001,
      0.5,
      [],
      {},
      true,
    )
    /** Right in most places, so that whole specs are right often enough, and wrong in each place at times. */
    const mostly = (right: fc.Arbitrary<unknown>, ...wrong: unknown[]): fc.Arbitrary<unknown> =>
      fc.oneof(
        { weight: 80, arbitrary: right },
        { weight: 3, arbitrary: wrong.length > 0 ? fc.constantFrom(...wrong) : odd },
        { weight: 1, arbitrary: odd },
      )
    const of = (...values: unknown[]): fc.Arbitrary<unknown> => fc.constantFrom(...values)
    const some = (
      fields: Record<string, fc.Arbitrary<unknown>>,
      required: string[] = [],
    ): fc.Arbitrary<unknown> =>
      fc.oneof(
        { weight: 40, arbitrary: fc.record(fields, { requiredKeys: required }) },
        { weight: 1, arbitrary: fc.record(fields, { requiredKeys: [] }) },
      )
    const requirement = fc.oneof(
      {
        weight: 20,
        arbitrary: fc.record({
          key: mostly(of('a')),
          operator: of('In', 'NotIn'),
          values: mostly(of(['x'])),
        }),
      },
      {
        weight: 20,
        arbitrary: fc.record({ key: mostly(of('a')), operator: mostly(of('Exists', 'DoesNotExist')) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ key: of('a'), operator: of('In', 'Exists'), values: of([], ['x']) }),
      },
    )
    const selector = some({
      matchLabels: mostly(fc.dictionary(fc.constantFrom('a', 'example.com/b'), fc.constantFrom('x', '')), {
        'no key': 'x',
      }),
      matchExpressions: mostly(fc.array(requirement, { maxLength: 2 })),
    })
    const money = mostly(
      of('0', '1.50', '300.123456789'),
      '1.',
      '.5',
      '1e3',
      '1.1234567891',
      '1234567890123',
      1.5,
    )
    const window = some(
      {
        days: mostly(fc.subarray(['Mon', 'Tue', 'Sun'], { minLength: 1 }), ['sun'], ['Mon', 'Mon']),
        from: mostly(of('00:00', '06:00', '22:30'), '24:00', '6:00', '22:60'),
        to: mostly(of('00:01', '06:01', '24:00'), '00:00', '24:01'),
        timeZone: mostly(
          of('UTC', 'Europe/Berlin', 'EST5EDT', 'Etc/GMT+5'),
          'europe/berlin',
          'Local',
          'Factory',
          'Mars/Base',
          '+01:00',
        ),
      },
      ['from', 'to'],
    )
    const specs = some({
      namespaceSelector: mostly(selector),
      podSelector: mostly(selector),
      mode: mostly(of('Auto', 'Never', 'Always'), 'auto'),
      waitSeconds: mostly(of(0, 30, 86_400), 86_401, -1),
      maxVirtualReplicas: mostly(of(0, 10), 1.5),
      minServerReplicas: mostly(of(0, 10), -1),
      pools: mostly(of(['burst'], ['burst', 'spare']), [], ['a', 'a'], ['Big']),
      spend: mostly(
        some(
          {
            currency: mostly(of('USD', 'EUR'), 'usd'),
            perHour: money,
            perDay: money,
            perMonth: money,
            warnAtPercent: mostly(of(1, 80, 100), 0, 101),
            atCap: mostly(of('StopNew', 'Stop'), 'stop'),
          },
          ['currency', 'perDay'],
        ),
      ),
      quietHours: mostly(fc.array(window, { maxLength: 2 })),
      scaleIn: mostly(of('VirtualFirst', 'None'), 'none'),
      moveBack: mostly(
        some({
          enabled: mostly(of(true, false)),
          afterSeconds: mostly(of(1, 600), 0, 86_401),
          reservePercent: mostly(of(0, 90), 91),
          giveUpAfterSeconds: mostly(of(10, 3600), 9),
        }),
      ),
    })
    const seen = { taken: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(specs, async (spec) => {
        const ours = compileBurstSpec('ClusterBurstPolicy', spec)
        const theirs = await refusal('ClusterBurstPolicy', spec)
        seen[theirs === undefined ? 'taken' : 'refused'] += 1
        if (!ours.ok) expect(theirs, ours.problems.join('\n')).toBeDefined()
      }),
      { numRuns: 600, seed: 20261129, endOnFailure: false },
    )
    // The specs were of both kinds.
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(100)
  })
})
