import { beforeEach, describe, expect, it } from 'vitest'
import type { PoolConfig } from '../../src/config/pool.ts'
import type { MemberNode } from '../../src/pools/pool-nodes.ts'
import { PoolSize } from '../../src/pools/pool-size.ts'
import { FakeClock } from '../support/fake-clock.ts'

const pool = {
  name: 'tide',
  replicas: 1,
  autoscale: { minNodes: 0, maxNodes: 4, sparePercent: 0, idleSeconds: 1 },
} as unknown as PoolConfig
const allocatable = { cpu: '100', memory: '1Ti', pods: '3' }
const empty = { name: 'tide-0', pods: [], retiring: false, object: { status: { allocatable } } }
const members = [empty] as unknown as readonly MemberNode[]
let clock: FakeClock
let size: PoolSize

beforeEach(() => {
  clock = new FakeClock()
  size = new PoolSize({ waitingFor: () => [], clock })
})

describe('a node that has become empty', () => {
  it('is given up when it has been so for long enough, and looked at just then', async () => {
    expect(size.wanted(pool, members)).toBe(1)
    expect(size.dueMs(pool, members)).toBe(1000)
    await clock.advance(400)
    expect(size.dueMs(pool, members)).toBe(600)
    await clock.advance(600)
    expect(size.wanted(pool, members)).toBe(0)
    expect(size.dueMs(pool, members)).toBeUndefined()
  })

  it('is looked at again when that came true while its pool was being looked after', async () => {
    size.wanted(pool, members)
    await clock.advance(999)
    expect(size.wanted(pool, members)).toBe(1)
    await clock.advance(5)
    expect(size.dueMs(pool, members)).toBe(1)
    expect(size.wanted(pool, members)).toBe(0)
  })
})
