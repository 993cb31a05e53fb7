import { expect, test } from 'vitest'
import { formatPool, formatPools } from '../../../src/cli/commands/pool.ts'
import type { PoolPicture } from '../../../src/cli/pool-picture.ts'

const pool: PoolPicture = {
  name: 'burst',
  backend: 'local',
  priceBook: 'flat-demo',
  purchase: 'on-demand',
  desired: 2,
  nodes: 2,
  ready: 2,
  pods: 7,
  state: 'Ready',
  message: '2 of 2 nodes are Ready',
  createdMs: 0,
}

test('pools are a table; what is the matter with one stands below it', () => {
  const night = {
    ...pool,
    name: 'night',
    desired: 1,
    ready: 1,
    state: 'ScalingDown',
    message: '1 wanted, 2 there',
  }
  expect(formatPools([pool, night], 90_000))
    .toBe(`POOL   DESIRED  NODES  READY  PODS  STATE        BACKEND  PRICE BOOK    AGE
burst        2      2      2     7  Ready        local    flat-demo   1m30s
night        1      2      1     7  ScalingDown  local    flat-demo   1m30s

night: 1 wanted, 2 there
`)
  expect(formatPools([], 0)).toBe('There are no pools.\n')
})

test('one pool is shown with its nodes and what has happened', () => {
  const nodeList = [{ name: 'burst-0', status: 'Ready', pods: 7, podLimit: 110, cpu: '4', memory: '16Gi' }]
  const events = [{ atMs: 60_000, type: 'Normal', reason: 'NodeAdded', message: 'burst-0' }]
  expect(formatPool({ ...pool, nodeList, events }, 90_000)).toBe(`Pool burst: Ready
  2 of 2 nodes are Ready
  backend local, price book flat-demo, nodes wanted: 2

NODE     STATUS   PODS  CPU  MEMORY
burst-0  Ready   7/110    4    16Gi

  AGO  EVENT      MESSAGE
30.0s  NodeAdded  burst-0
`)
  const spot = formatPool({ ...pool, purchase: 'spot', nodeList: [], events: [] }, 90_000)
  expect(spot).toContain('price book flat-demo as spot, nodes wanted: 2')
})
