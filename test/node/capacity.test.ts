import { expect, it } from 'vitest'
import { compilePool } from '../../src/config/pool.ts'
import { nodeCapacity } from '../../src/node/capacity.ts'

const backend = {
  cpuMillis: 16_000n,
  memoryBytes: 64n << 30n,
  ephemeralStorageBytes: 100n << 30n,
  pods: 300,
  extended: new Map([['nvidia.com/gpu', 5n]]),
}

it('is what the pool says, and of the rest an even share of the backend, in whole units', () => {
  const pool = compilePool({ name: 'burst', backend: 'local', capacity: { cpu: 4 } })
  expect(nodeCapacity(pool, backend, 2)).toEqual({
    cpuMillis: 4000n,
    memoryBytes: 32n << 30n,
    ephemeralStorageBytes: 50n << 30n,
    pods: 110,
    extended: new Map([['nvidia.com/gpu', 2n]]),
  })
})

it('has nothing else where the backend has nothing else', () => {
  const { extended: _, ...plain } = backend
  const pool = compilePool({ name: 'burst', backend: 'local' })
  expect(nodeCapacity(pool, plain, 1).extended).toEqual(new Map())
})
