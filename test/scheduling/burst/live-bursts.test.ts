import { expect, test } from 'vitest'
import type { KubeApi } from '../../../src/kube/api.ts'
import { ObjectStore } from '../../../src/kube/store.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import type { KubeList, KubeObject, Pod } from '../../../src/model/kubernetes.ts'
import { LiveBursts } from '../../../src/scheduling/burst/live-bursts.ts'
import { poolToleration } from '../../../src/scheduling/decide-overflow.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { boundSample } from '../samples.ts'

const capped = {
  metadata: { name: 'capped', namespace: 'shop', uid: 'uid-capped', resourceVersion: '1', generation: 1 },
  spec: { spend: { currency: 'USD', perHour: '1' } },
}

interface Server {
  served: boolean
  readable: boolean
  objects: readonly KubeObject[]
  reads: number
  ledger: 'answers' | 'fails'
  /** How long ago what the ledger answers was so. */
  lagMs: number
  hasBudgets: boolean
}

async function living(
  server: Partial<Server>,
  run: (bursts: LiveBursts, clock: FakeClock, state: Server, pods: ObjectStore<Pod>) => Promise<void>,
): Promise<void> {
  const state: Server = {
    served: true,
    readable: true,
    objects: [capped],
    reads: 0,
    ledger: 'answers',
    lagMs: 0,
    hasBudgets: false,
    ...server,
  }
  const clock = new FakeClock()
  const log = silentLog()
  const pods = new ObjectStore<Pod>({ log })
  const api: Pick<KubeApi, 'list' | 'watch' | 'getText'> = {
    getText: async () => {
      if (!state.served) throw new SpillwayError('NotFound', 'no such group')
      return JSON.stringify({ resources: [{ name: 'burstpolicies' }, { name: 'clusterburstpolicies' }] })
    },
    list: async <T extends KubeObject>(resource: { readonly kind: string }) => {
      if (!state.readable) throw new SpillwayError('Forbidden', 'may not list')
      const items = resource.kind === 'BurstPolicy' ? state.objects : []
      return { metadata: { resourceVersion: '1' }, items } as unknown as KubeList<T>
    },
    watch: async function* (_resource: unknown, _options: unknown, signal: AbortSignal) {
      yield { type: 'BOOKMARK', resourceVersion: '2' } as const
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    },
  }
  const readSpend = async () => {
    state.reads += 1
    if (state.ledger === 'fails') throw new SpillwayError('LedgerUnavailable', 'the disk is full')
    return { atMs: clock.wallMs() - state.lagMs, records: [] }
  }
  const bursts = new LiveBursts({
    api,
    readSpend,
    hasBudgets: () => state.hasBudgets,
    pods,
    isOut: (pod) => pod.spec?.nodeName?.startsWith('burst') ?? false,
    clock,
    backoff: () => 1000,
    log,
  })
  const ending = new AbortController()
  const running = bursts.run(ending.signal)
  await run(bursts, clock, state, pods)
  ending.abort()
  await running
}

test('policies are not known before the API server has answered, and none where it serves no such kind', async () => {
  await living({ served: false }, async (bursts, clock, state) => {
    expect(bursts.facts().policies).toBeUndefined()
    await clock.advance(1)
    expect(bursts.facts().policies).toEqual([])
    // A definition that comes later is found.
    state.served = true
    await clock.advance(11_000)
    expect(bursts.facts().policies?.map(({ title }) => title)).toEqual(['BurstPolicy shop/capped'])
  })
})

test('money is read every few seconds while a policy has caps, and not at all without', async () => {
  await living({}, async (bursts, clock, state) => {
    let told = 0
    bursts.subscribe(() => (told += 1))
    await clock.advance(20_000)
    expect(state.reads).toBe(4)
    expect(bursts.facts().spend?.atMs).toBeGreaterThan(0)
    expect(told).toBeGreaterThanOrEqual(state.reads)
  })
  const free = { ...capped, spec: { mode: 'Never' } }
  await living({ objects: [free] }, async (bursts, clock, state) => {
    await clock.advance(20_000)
    expect(state.reads).toBe(0)
    expect(bursts.facts().spend).toBeUndefined()
  })
})

test('a ledger that cannot be read leaves what was read last', async () => {
  await living({}, async (bursts, clock, state) => {
    await clock.advance(1000)
    const before = bursts.facts().spend
    expect(before).toBeDefined()
    state.ledger = 'fails'
    await clock.advance(20_000)
    expect(bursts.facts().spend).toBe(before)
  })
})

test('a Pod that has ended is remembered until the ledger has been read after its end', async () => {
  await living({}, async (bursts, clock, state, pods) => {
    const pod = boundSample('burst-0', { name: 'out', spec: { tolerations: [poolToleration('burst')] } })
    const server = boundSample('server-0', { name: 'in' })
    pods.replaceAll([pod, server])
    await clock.advance(6000)
    pods.remove(pod)
    pods.remove(server)
    expect(bursts.facts().gone).toEqual([pod])
    // A reading that was begun before.
    state.lagMs = 10_000
    await clock.advance(6000)
    expect(bursts.facts().gone).toEqual([pod])
    state.lagMs = 0
    await clock.advance(6000)
    expect(bursts.facts().gone).toEqual([])
  })
})

test('policies are awaited until they are known, and not for ever by who may not read them', async () => {
  await living({}, async (bursts, clock) => {
    expect(bursts.awaited).toBe(true)
    await clock.advance(1)
    expect(bursts.awaited).toBe(false)
  })
  await living({ readable: false }, async (bursts, clock, state) => {
    const told: boolean[] = []
    bursts.subscribe(() => told.push(bursts.awaited))
    await clock.advance(29_999)
    expect(bursts.awaited).toBe(true)
    await clock.advance(1)
    expect(bursts.awaited).toBe(false)
    expect(bursts.facts().policies).toBeUndefined()
    expect(told.at(-1)).toBe(false)
    state.readable = true
    await clock.advance(5_000)
    expect(bursts.facts().policies).toHaveLength(1)
  })
})
