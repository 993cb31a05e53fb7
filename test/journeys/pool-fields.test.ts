/** What a VirtualNodePool may say, asked of a real API server that serves deploy/crds. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkPool, compilePool } from '../../src/config/pool.ts'
import { poolSchema, type RawPool } from '../../src/config/pool-schema.ts'
import { validate } from '../../src/config/validate.ts'
import { publishDefinitions } from '../../src/dev-cluster/definitions.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { virtualNodePools } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import { errorMessage } from '../../src/model/errors.ts'
import type { VirtualNodePool } from '../../src/model/virtual-node-pool.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { testClient, type TestClient } from '../support/small-cluster.ts'

const ending = new AbortController()
const { signal } = ending
let plane: TestControlPlane
let api: TestClient
let made = 0

beforeAll(async () => {
  plane = await startTestControlPlane()
  api = testClient(explicitCredentials(plane.controlPlane.admin), 'journey')
  await publishDefinitions(api, systemClock, signal)
})

afterAll(async () => {
  ending.abort()
  await api?.close()
  await plane?.[Symbol.asyncDispose]()
})

const noSchedule = (key: string) => ({ key, effect: 'NoSchedule' })

describe('a pool is refused, and told which field it is and what is allowed', () => {
  test.each<[field: string, spec: Record<string, unknown>, told: string]>([
    ['spec.backend', {}, 'Required value'],
    ['spec.backend', { backend: '' }, 'should be at least 1 chars long'],
    ['spec.replicas', { replicas: -1 }, 'should be greater than or equal to 0'],
    ['spec.replicas', { replicas: 5001 }, 'should be less than or equal to 5000'],
    ['spec.replicas', { replicas: 'two' }, 'must be of type integer'],
    ['spec.capacity.cpu', { capacity: { cpu: '1.2.3' } }, 'should match'],
    ['spec.capacity.memory', { capacity: { memory: '5 GiB' } }, 'should match'],
    ['spec.capacity.ephemeralStorage', { capacity: { ephemeralStorage: -1 } }, 'greater than or equal to 0'],
    ['spec.capacity.pods', { capacity: { pods: 0 } }, 'should be greater than or equal to 1'],
    ['spec.labels', { labels: { 'a b': 'c' } }, 'found a key that is no label key'],
    ['spec.labels.tier', { labels: { tier: 'a b' } }, 'should match'],
    ['spec.taints[0].key', { taints: [noSchedule('-')] }, 'should match'],
    [
      'spec.taints[0].effect',
      { taints: [{ key: 'a', effect: 'Sometimes' }] },
      'supported values: "NoSchedule"',
    ],
    ['spec.taints[0].effect', { taints: [{ key: 'a' }] }, 'Required value'],
    ['spec.taints', { taints: [noSchedule('spillway.dev/virtual-node')] }, 'this one is built in'],
    ['spec.taints', { taints: [noSchedule('a'), noSchedule('a')] }, 'found two taints of one key and effect'],
    ['spec.sandboxHandler', { sandboxHandler: 'Kata!' }, 'should match'],
    ['spec.runtimeClasses.vm', { runtimeClasses: { vm: 'Kata!' } }, 'should match'],
    ['spec.untainted', { untainted: 'yes' }, 'must be of type boolean'],
    ['spec.priceBook', { priceBook: '' }, 'should be at least 1 chars long'],
    ['spec.cordoned', { cordoned: 1 }, 'must be of type boolean'],
    ['spec.drained', { drained: 'no' }, 'must be of type boolean'],
    ['spec.drainTimeoutSeconds', { drainTimeoutSeconds: -5 }, 'greater than or equal to 0'],
    ['spec.autoscale.maxNodes', { autoscale: { minNodes: 1 } }, 'Required value'],
    ['spec.autoscale.maxNodes', { autoscale: { maxNodes: 0 } }, 'greater than or equal to 1'],
    ['spec.autoscale.minNodes', { autoscale: { minNodes: 3, maxNodes: 2 } }, 'allowed: at most maxNodes'],
    [
      'spec.autoscale.sparePercent',
      { autoscale: { maxNodes: 2, sparePercent: -1 } },
      'greater than or equal',
    ],
    [
      'spec.autoscale.idleSeconds',
      { autoscale: { maxNodes: 2, idleSeconds: 0 } },
      'greater than or equal to 1',
    ],
  ])('%s of %j', async (field, spec, told) => {
    const refusal = await refusalOf({ ...(field === 'spec.backend' ? {} : { backend: 'local' }), ...spec })
    expect(refusal).toContain(field)
    expect(refusal).toContain(told)
  })

  test('by its name, when its nodes could not be called after it', async () => {
    expect(await refusalOf({ backend: 'local' }, 'a.b')).toContain(
      'found name a.b; allowed: at most 58 characters',
    )
    expect(await refusalOf({ backend: 'local' }, 'b'.repeat(59))).toContain('allowed: at most 58 characters')
    expect(await refusalOf({ backend: 'local' }, 'b'.repeat(58))).toBe('')
  })

  test('when its backend changes, under which Pods run', async () => {
    const name = 'moving'
    expect(await refusalOf({ backend: 'local' }, name)).toBe('')
    const patch = { type: 'merge', body: { spec: { backend: 'other' } } } as const
    await expect(api.patch(virtualNodePools, { name }, patch, signal)).rejects.toThrow(
      'found other; allowed: local, since Pods cannot move between backends',
    )
  })
})

test('the API server and the configuration file agree on any pool', { timeout: 60_000 }, async () => {
  const odd = (good: fc.Arbitrary<unknown>, ...bad: unknown[]) =>
    fc.oneof({ arbitrary: good, weight: 6 }, { arbitrary: fc.constantFrom(...bad), weight: 1 })
  const quantity = odd(fc.constantFrom('1', '500m', '1.5', 4, '2Gi', '1k'), '1..5', 'x', '1KB', '', true)
  const key = odd(
    fc.constantFrom('a', 'tier', 'example.com/tier'),
    '',
    '-a',
    'a b',
    'spillway.dev/virtual-node',
  )
  const spec = fc.record(
    {
      backend: odd(fc.constant('local'), ''),
      replicas: odd(fc.nat(5000), -1, 5001, 'one'),
      capacity: fc.record(
        { cpu: quantity, memory: quantity, pods: odd(fc.integer({ min: 1, max: 110 }), 0, 'many') },
        { requiredKeys: [] },
      ),
      labels: fc.dictionary(
        key as fc.Arbitrary<string>,
        odd(fc.constantFrom('', 'a', 'x_y.z'), ' ', '-') as fc.Arbitrary<string>,
        { maxKeys: 2 },
      ),
      taints: fc.array(fc.record({ key, effect: odd(fc.constantFrom('NoSchedule', 'NoExecute'), 'Never') }), {
        maxLength: 2,
      }),
      cordoned: odd(fc.boolean(), 'false'),
      drainTimeoutSeconds: odd(fc.nat(600), -1),
      autoscale: fc.record({ minNodes: fc.nat(4), maxNodes: odd(fc.integer({ min: 1, max: 4 }), 0) }),
    },
    { requiredKeys: ['backend'] },
  )
  for (const wish of fc.sample(spec, { seed: 20261129, numRuns: 150 })) {
    const raw = { ...wish, name: 'any' }
    const problems = validate(poolSchema, raw)
    if (problems.length === 0) problems.push(...checkPool(compilePool(raw as RawPool), ['local']))
    const refusal = await refusalOf(wish)
    expect({ wish, refused: refusal !== '' }, `${refusal}\n${problems.join('\n')}`).toEqual({
      wish,
      refused: problems.length > 0,
    })
  }
})

/** What the API server says against it; empty when it takes it. */
async function refusalOf(spec: Record<string, unknown>, name = `pool-${made++}`): Promise<string> {
  const object = { apiVersion: 'spillway.dev/v1alpha1', kind: 'VirtualNodePool', metadata: { name }, spec }
  try {
    await api.create<VirtualNodePool>(virtualNodePools, object, signal)
    return ''
  } catch (error) {
    return errorMessage(error)
  }
}
