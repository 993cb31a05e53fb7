import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { KubeApi } from '../../src/kube/api.ts'
import { keepLease, leaseFor, renewDelayMs } from '../../src/kube/lease.ts'
import { parseTimeMs } from '../../src/model/clock.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Lease } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, fakeEpochMs } from '../support/fake-clock.ts'

const terms = { nodeName: 'burst-0', nodeUid: 'uid-1', durationSeconds: 40, nowMs: fakeEpochMs }

describe('leaseFor', () => {
  it('has the node for holder and the Node for its one owner', () => {
    const foreign = leaseFor(undefined, { ...terms, nodeUid: 'uid-old' })
    expect(leaseFor({ ...foreign, metadata: { ...foreign.metadata, resourceVersion: '7' } }, terms)).toEqual({
      metadata: {
        name: 'burst-0',
        namespace: 'kube-node-lease',
        resourceVersion: '7',
        ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'burst-0', uid: 'uid-1' }],
      },
      spec: {
        holderIdentity: 'burst-0',
        leaseDurationSeconds: 40,
        renewTime: '2026-01-01T00:00:00.001000Z',
      },
    })
  })

  it('moves renewTime forward whatever the wall clock does', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 10 ** 9 })), (times) => {
        let previous: Lease | undefined
        for (const nowMs of times) {
          const next = leaseFor(previous, { ...terms, nowMs })
          const renewedMs = parseTimeMs(next.spec?.renewTime ?? '')
          expect(renewedMs).toBeGreaterThanOrEqual(nowMs)
          if (previous) expect(renewedMs).toBeGreaterThan(parseTimeMs(previous.spec?.renewTime ?? ''))
          previous = next
        }
      }),
    )
  })

  it('spreads renewals by four per cent', () => {
    expect([renewDelayMs(10_000, 0), renewDelayMs(10_000, 0.5)]).toEqual([9600, 10_000])
  })
})

/** One lease as the API server would keep it; `fail` makes calls reject. */
class LeaseServer {
  lease: Lease | undefined
  fail: SpillwayError | undefined
  readonly calls: string[] = []
  #version = 0

  readonly api = {
    get: async () => this.#answer('get', this.lease),
    create: async (_resource: unknown, lease: Lease) => {
      if (this.lease) throw new SpillwayError('Conflict', 'already exists')
      return this.#answer('create', this.#stored(lease))
    },
    replace: async (_resource: unknown, lease: Lease) => {
      const current = this.lease?.metadata?.resourceVersion
      if (current !== undefined && current !== lease.metadata?.resourceVersion) {
        this.calls.push('conflict')
        throw new SpillwayError('Conflict', 'the object has been modified')
      }
      return this.#answer('replace', this.lease && this.#stored(lease))
    },
  } as unknown as Pick<KubeApi, 'get' | 'create' | 'replace'>

  #stored(lease: Lease): Lease {
    this.#version += 1
    return { ...lease, metadata: { ...lease.metadata, resourceVersion: String(this.#version) } }
  }

  #answer(call: string, lease: Lease | undefined): Lease {
    this.calls.push(call)
    if (this.fail) throw this.fail
    if (!lease) throw new SpillwayError('NotFound', 'no such lease')
    this.lease = lease
    return lease
  }
}

function keep(server: Pick<LeaseServer, 'api'>, nodeUid: () => string | undefined = () => 'uid-1') {
  const clock = new FakeClock()
  const renewedMs: number[] = []
  const stop = new AbortController()
  const options = {
    api: server.api,
    nodeName: 'burst-0',
    nodeUid,
    clock,
    random: () => 0.5,
    log: silentLog(),
  }
  const onRenewed = (): void => void renewedMs.push(clock.monotonicMs())
  const running = keepLease({ ...options, onRenewed }, stop.signal)
  const end = async (): Promise<void> => {
    stop.abort(new Error('over'))
    await running
  }
  return { clock, renewedMs, end }
}

describe('keepLease', () => {
  it('renews every ten seconds with one request', async () => {
    const server = new LeaseServer()
    const { clock, renewedMs, end } = keep(server)
    await clock.advance(30_000)
    await end()
    expect(renewedMs).toEqual([0, 10_000, 20_000, 30_000])
    expect(server.calls).toEqual(['get', 'create', 'replace', 'replace', 'replace'])
  })

  it('makes a deleted lease again, and takes over one that was changed', async () => {
    const server = new LeaseServer()
    const { clock, renewedMs, end } = keep(server)
    await clock.advance(0)
    server.lease = undefined
    await clock.advance(10_000)
    expect(server.calls.splice(0)).toEqual(['get', 'create', 'replace', 'create'])
    server.lease = { ...(server.lease as Lease | undefined), metadata: { resourceVersion: '99' } }
    await clock.advance(10_200)
    await end()
    expect(server.calls).toEqual(['conflict', 'get', 'replace'])
    expect(renewedMs).toEqual([0, 10_000, 20_200])
  })

  it('tries quickly while the API server is away', async () => {
    const server = new LeaseServer()
    const { clock, renewedMs, end } = keep(server)
    await clock.advance(1)
    server.fail = new SpillwayError('Unavailable', 'ECONNREFUSED')
    await clock.advance(60_000)
    server.fail = undefined
    const restoredMs = clock.monotonicMs()
    await clock.advance(2000)
    await end()
    expect(renewedMs.at(-1)).toBeGreaterThan(restoredMs)
  })

  it('gives up a request that is not answered and tries again', async () => {
    const server = new LeaseServer()
    let hanging = 0
    const hang = async (_resource: unknown, _name: unknown, signal: AbortSignal): Promise<never> => {
      hanging += 1
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    }
    const { clock, end } = keep({ api: { ...server.api, get: hang } })
    await clock.advance(10_200)
    await end()
    expect(hanging).toBe(2)
  })

  it('writes no lease without a Node, and owns it by the Node of now', async () => {
    const server = new LeaseServer()
    let nodeUid: string | undefined
    const { clock, end } = keep(server, () => nodeUid)
    await clock.advance(1000)
    expect(server.calls).toEqual([])
    nodeUid = 'uid-1'
    await clock.advance(200)
    nodeUid = 'uid-2'
    await clock.advance(10_000)
    await end()
    expect(server.lease?.metadata?.ownerReferences?.map(({ uid }) => uid)).toEqual(['uid-2'])
  })
})
