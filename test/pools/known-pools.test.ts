import { describe, expect, test } from 'vitest'
import { compilePool } from '../../src/config/pool.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { VirtualNodePool } from '../../src/model/virtual-node-pool.ts'
import { KnownPools } from '../../src/pools/known-pools.ts'
import { poolObject } from '../../src/pools/pool-object.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

const burst = compilePool({ name: 'burst', backend: 'local', replicas: 2 })

/** Answers as the script says; a watch stays silent. */
function poolsOver(answers: {
  list: () => VirtualNodePool[]
  created?: VirtualNodePool[]
  clock?: FakeClock
}) {
  const api = {
    list: async () => ({ items: answers.list(), metadata: { resourceVersion: '1' } }),
    create: async (_resource: unknown, object: VirtualNodePool) => {
      answers.created?.push(object)
      return object
    },
    // eslint-disable-next-line require-yield
    async *watch(_resource: unknown, _options: unknown, signal: AbortSignal) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
  } as unknown as KubeApi
  return new KnownPools({
    filePools: [burst],
    backends: ['local'],
    priceBooks: new Map([['tencent-eks-intl-2023-06-30', { currency: 'USD' }]]),
    instance: 'shop',
    api,
    clock: answers.clock ?? new FakeClock(),
    backoff: () => 1_000,
    log: silentLog(),
  })
}

async function running(pools: KnownPools, look: () => Promise<void>): Promise<void> {
  const ending = new AbortController()
  const run = pools.run(ending.signal)
  try {
    await pools.whenKnown(ending.signal)
    await look()
  } finally {
    ending.abort()
    await run
  }
}

describe('where the API server serves no VirtualNodePools', () => {
  test.each(['NotFound', 'Forbidden'] as const)(
    '(%s) the file counts, and scaling is kept in memory',
    async (code) => {
      const pools = poolsOver({
        list: () => {
          throw new SpillwayError(code, 'no')
        },
      })
      await running(pools, async () => {
        expect(pools.configs()).toEqual([burst])
        const told: string[] = []
        pools.subscribe((name) => told.push(name))
        await pools.scale('burst', 5, new AbortController().signal)
        expect(pools.get('burst')?.config?.replicas).toBe(5)
        expect(told).toEqual(['burst'])
      })
    },
  )

  test('a definition that comes later is found', async () => {
    const clock = new FakeClock()
    let served = false
    const created: VirtualNodePool[] = []
    const pools = poolsOver({
      clock,
      created,
      list: () => {
        if (!served) throw new SpillwayError('NotFound', 'no')
        return created
      },
    })
    await running(pools, async () => {
      expect(pools.get('burst')?.object).toBeUndefined()
      served = true
      await clock.advance(10_000)
      await expect.poll(() => pools.get('burst')?.object).toBeDefined()
    })
  })
})

describe('where it does', () => {
  test('the file’s pools become objects once, and the objects count', async () => {
    const created: VirtualNodePool[] = []
    const edited = poolObject({ ...burst, replicas: 7 })
    const pools = poolsOver({ created, list: () => [edited] })
    await running(pools, async () => {
      expect(created).toEqual([])
      expect(pools.configs().map(({ replicas }) => replicas)).toEqual([7])
    })
    const first = poolsOver({ created, list: () => created })
    await running(first, async () => expect(first.configs()).toEqual([burst]))
    expect(created).toEqual([poolObject(burst)])
  })

  test('what another Spillway has taken is not told of', async () => {
    const other = { ...poolObject(burst), status: { instance: 'other' } }
    const pools = poolsOver({ list: () => [other] })
    await running(pools, async () => expect(pools.list()).toEqual([]))
  })

  test('one that cannot be taken says which field, what was found and what is allowed', async () => {
    const odd = poolObject({ ...burst, backend: 'x' })
    const older = { ...odd, metadata: { name: 'older' }, spec: { backend: 'local', colour: 'red' } }
    const euros = { ...poolObject({ ...burst, name: 'euros' }) }
    const priced = { ...euros, spec: { ...euros.spec, budget: { currency: 'EUR', perDay: '5' } } }
    const pools = poolsOver({ list: () => [odd, older, priced] })
    await running(pools, async () => {
      expect(pools.configs()).toEqual([])
      expect(pools.get('burst')?.problems).toEqual(['backend: found "x"; allowed: local'])
      expect(pools.get('euros')?.problems).toEqual([
        'budget.currency: found "EUR"; allowed: USD, as price book tencent-eks-intl-2023-06-30 has it',
      ])
      expect(pools.get('older')?.problems[0]).toContain('colour: unknown field; allowed here: name, replicas')
    })
  })
})
