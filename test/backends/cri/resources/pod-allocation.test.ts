import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { firstAllocation, PodAllocation } from '../../../../src/backends/cri/resources/pod-allocation.ts'
import { PodStore, type PodRecord } from '../../../../src/backends/cri/pod/pod-store.ts'
import type { Pod } from '../../../../src/model/kubernetes.ts'
import { podRef } from '../../../../src/model/pod-key.ts'
import { aContainer, aPod } from '../../../support/builders.ts'

describe('what is set aside for a Pod on a containerd', () => {
  let stateDir: string
  let store: PodStore

  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'pod-allocation-'))
    store = new PodStore(stateDir)
  })

  afterEach(async () => {
    await rm(stateDir, { recursive: true })
  })

  const sized = (generation: number, cpu: string): Pod =>
    aPod({
      metadata: { generation },
      spec: { containers: [aContainer({ resources: { requests: { cpu } } })] },
    })

  const dir = (): string => join(stateDir, 'pods', podRef(sized(1, '1')).uid)
  const recordOf = (pod: Pod): PodRecord => {
    const allocation = firstAllocation(pod, 100)
    return { ...podRef(pod), nodeName: 'burst-0', containers: [], allocation }
  }
  const anew = async (): Promise<PodAllocation> => {
    const [record] = await store.records()
    return new PodAllocation(store, dir(), record!)
  }

  it('is in effect from the start, since the containers are made with it', () => {
    const allocation = new PodAllocation(store, dir(), recordOf(sized(1, '1')))
    expect(allocation.told).toMatchObject({ generation: 1, inEffectAtMs: 100 })
    expect(allocation.underWay).toBeUndefined()
  })

  it('is on disk before it is told, in effect or not', async () => {
    const allocation = new PodAllocation(store, dir(), recordOf(sized(1, '1')))
    await allocation.setAside(sized(2, '2'))
    const after = await anew()
    expect(after.told).toEqual(allocation.told)
    expect(after.underWay).toMatchObject({ generation: 2 })
    await allocation.inEffect(allocation.underWay!, 200)
    expect((await anew()).told).toMatchObject({ generation: 2, inEffectAtMs: 200 })
  })

  it('stays as it is when the same is asked for in other words', async () => {
    const allocation = new PodAllocation(store, dir(), recordOf(sized(1, '1')))
    await allocation.setAside(sized(5, '1000m'))
    expect(allocation.told).toMatchObject({ generation: 1, inEffectAtMs: 100 })
  })

  it('is not taken for done when another size came meanwhile', async () => {
    const allocation = new PodAllocation(store, dir(), recordOf(sized(1, '1')))
    await allocation.setAside(sized(2, '2'))
    const first = allocation.underWay!
    await Promise.all([allocation.setAside(sized(3, '3')), allocation.inEffect(first, 200)])
    expect(allocation.underWay).toMatchObject({ generation: 3 })
    expect((await anew()).underWay).toMatchObject({ generation: 3 })
  })

  it('waits ten seconds after a failure, but not when another size is asked for', async () => {
    const allocation = new PodAllocation(store, dir(), recordOf(sized(1, '1')))
    await allocation.setAside(sized(2, '2'))
    allocation.failed('no', 1_000)
    expect(allocation.told?.error).toBe('no')
    expect(allocation.leftMs(4_000)).toBe(7_000)
    await allocation.setAside(sized(3, '3'))
    expect(allocation.told?.error).toBeUndefined()
    expect(allocation.leftMs(4_000)).toBe(0)
  })
})
