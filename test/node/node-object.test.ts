import { describe, expect, it } from 'vitest'
import { kubeletVersion, nodeObject, nodeTaints } from '../../src/node/node-object.ts'
import { nodeInputSample } from './samples.ts'

describe('nodeObject', () => {
  it('is the whole Node', async () => {
    const node = nodeObject(nodeInputSample(), [{ type: 'Ready', status: 'True' }])
    await expect(`${JSON.stringify(node, undefined, 2)}\n`).toMatchFileSnapshot('golden/burst-0.json')
  })

  it('starts cordoned when the pool says so', () => {
    expect(nodeObject(nodeInputSample({ cordoned: true }), []).spec?.unschedulable).toBe(true)
  })

  it('takes the pool’s labels, but not in place of its own', () => {
    const labels = { disk: 'ssd', type: 'server', 'spillway.dev/pool': 'other' }
    expect(nodeObject(nodeInputSample({ labels }), []).metadata?.labels).toMatchObject({
      disk: 'ssd',
      type: 'virtual-kubelet',
      'spillway.dev/pool': 'burst',
    })
  })

  it('of an untainted pool carries only what the pool adds', () => {
    const extra = { key: 'team', value: 'data', effect: 'NoSchedule' }
    expect(nodeTaints({ ...nodeInputSample().pool, untainted: true, taints: [extra] })).toEqual([extra])
  })
})

describe('kubeletVersion', () => {
  it.each([
    ['v1.37.2', 'v1.37.2-spillway.0.1.0'],
    ['v1.30.4-gke.100', 'v1.30.4-spillway.0.1.0'],
    ['v1.33.0+k3s1', 'v1.33.0-spillway.0.1.0'],
  ])('of a server %s is %s', (server, expected) => {
    expect(kubeletVersion({ server, spillway: '0.1.0', runtime: '' })).toBe(expected)
  })

  it('is not guessed', () => {
    expect(() => kubeletVersion({ server: 'latest', spillway: '0.1.0', runtime: '' })).toThrow('"latest"')
  })
})
