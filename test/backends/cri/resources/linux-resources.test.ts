import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cpuWeight } from '../../../../src/backends/cri/resources/cgroup-files.ts'
import {
  containerResources,
  cpuQuotaUs,
  cpuShares,
  oomScoreAdjust,
  podCgroupLimits,
  sandboxOverhead,
  sandboxResources,
} from '../../../../src/backends/cri/resources/linux-resources.ts'
import type { Machine } from '../../../../src/backends/cri/resources/machine.ts'
import type { Pod } from '../../../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../../../support/builders.ts'

const gib = 2n ** 30n
const withResources = (requests: Record<string, string>, limits: Record<string, string> = {}) =>
  aContainer({ resources: { requests, limits } })

describe('processor time', () => {
  it('is shared out as kubelet does it', () => {
    expect([0n, 1n, 100n, 1000n, 1_000_000n].map(cpuShares)).toEqual([2, 2, 102, 1024, 262_144])
    expect([1n, 10n, 250n, 2000n].map(cpuQuotaUs)).toEqual([1000, 1000, 25_000, 200_000])
  })

  it('keeps its order and its bounds as a weight of cgroup v2', () => {
    expect([2, 1024, 262_144].map(cpuWeight)).toEqual([1, 100, 10_000])
    const shares = fc.integer({ min: 2, max: 262_144 })
    fc.assert(
      fc.property(shares, shares, (a, b) => {
        expect(cpuWeight(Math.min(a, b))).toBeLessThanOrEqual(cpuWeight(Math.max(a, b)))
        expect(cpuWeight(a)).toBeGreaterThanOrEqual(1)
      }),
    )
  })
})

describe('the cgroup of a Pod', () => {
  it('sums what the containers declare', () => {
    const container = withResources({ cpu: '100m', memory: '1Gi' }, { cpu: '200m', memory: '2Gi' })
    const pod = aPod({ spec: { containers: [container, { ...container, name: 'other' }] } })
    expect(podCgroupLimits(pod)).toEqual({ cpuShares: 204, cpuQuotaUs: 40_000, memoryBytes: 4n * gib })
  })

  it('is unlimited as soon as one container is', () => {
    const pod = aPod({
      spec: { containers: [withResources({}, { cpu: '1', memory: '1Gi' }), aContainer({ name: 'free' })] },
    })
    expect(podCgroupLimits(pod)).toEqual({ cpuShares: 1024 })
  })
})

describe('who goes first when memory is short', () => {
  const scoreOf = (requests: Record<string, string>, limits: Record<string, string> = {}) => {
    const container = withResources(requests, limits)
    return oomScoreAdjust(aPod({ spec: { containers: [container] } }), container, 10n * gib)
  }

  it('is the one that asked for nothing, then the one that asked for little, last who has a guarantee', () => {
    expect(scoreOf({})).toBe(1000)
    expect(scoreOf({ memory: '1Gi' })).toBe(900)
    expect(scoreOf({ memory: '1' })).toBe(999)
    expect(scoreOf({ memory: '10Gi' })).toBe(3)
    expect(scoreOf({ cpu: '1', memory: '1Gi' }, { cpu: '1', memory: '1Gi' })).toBe(-997)
  })

  it('shares out what the Pod as a whole asks for beyond its containers', () => {
    const containers = [withResources({ memory: '1Gi' }), { ...withResources({}), name: 'other' }]
    const pod = aPod({ spec: { containers, resources: { requests: { memory: '3Gi' } } } })
    expect(containers.map((container) => oomScoreAdjust(pod, container, 10n * gib))).toEqual([800, 900])
    const small = aPod({ spec: { containers, resources: { requests: { memory: '1Gi' } } } })
    expect(containers.map((container) => oomScoreAdjust(small, container, 10n * gib))).toEqual([900, 999])
  })
})

describe('what a container is given', () => {
  const machine: Machine = {
    memoryBytes: 16n * gib,
    cgroupVersion: 2,
    limitsSwap: true,
    hugepageSizes: ['1GB', '2MB'],
    maskedPaths: [],
  }
  const given = (pod: Pod, on: Partial<Machine> = {}) =>
    containerResources(pod, pod.spec?.containers[0] ?? aContainer(), { ...machine, ...on })

  it('is the limit of the Pod as a whole where it has none', () => {
    const whole = { requests: { cpu: '500m' }, limits: { cpu: '1', memory: '1Gi' } }
    expect(given(aPod({ spec: { resources: whole } }))).toMatchObject({
      cpuShares: 1024,
      cpuQuota: 100_000,
      memoryLimitInBytes: String(gib),
    })
    const own = withResources({ cpu: '100m' }, { cpu: '250m' })
    expect(given(aPod({ spec: { resources: whole, containers: [own] } }))).toMatchObject({
      cpuShares: 102,
      cpuQuota: 25_000,
      memoryLimitInBytes: String(gib),
    })
  })

  it('is the limit as request where only that is stated', () => {
    expect(given(aPod({ spec: { containers: [withResources({}, { cpu: '2' })] } })).cpuShares).toBe(2048)
    expect(given(aPod()).cpuShares).toBe(2)
  })

  it('is no swap, as far as the cgroups can say so', () => {
    const limited = aPod({ spec: { containers: [withResources({}, { memory: '1Gi' })] } })
    expect(given(limited, { cgroupVersion: 1 }).memorySwapLimitInBytes).toBe(String(gib))
    expect(given(aPod(), { cgroupVersion: 1 })).not.toHaveProperty('memorySwapLimitInBytes')
    expect(given(limited).unified).toEqual({ 'memory.oom.group': '1', 'memory.swap.max': '0' })
    expect(given(limited, { limitsSwap: false }).unified).toEqual({ 'memory.oom.group': '1' })
  })

  it('is no huge page without a limit for it', () => {
    const own = withResources({}, { 'hugepages-2Mi': '4Mi' })
    const ofPod = { limits: { 'hugepages-1Gi': '1Gi', 'hugepages-2Mi': '8Mi' } }
    expect(given(aPod()).hugepageLimits).toEqual([
      { pageSize: '1GB', limit: '0' },
      { pageSize: '2MB', limit: '0' },
    ])
    expect(given(aPod({ spec: { resources: ofPod, containers: [own] } })).hugepageLimits).toEqual([
      { pageSize: '1GB', limit: String(gib) },
      { pageSize: '2MB', limit: String(4n << 20n) },
    ])
  })
})

describe('a sandbox of a RuntimeClass', () => {
  it('is told the overhead apart from what the containers get', () => {
    const containers = [withResources({ cpu: '1', memory: '1Gi' }, { cpu: '1', memory: '1Gi' })]
    const pod = aPod({ spec: { containers, overhead: { cpu: '250m', memory: '128Mi' } } })
    expect(podCgroupLimits(pod)).toEqual({
      cpuShares: 1280,
      cpuQuotaUs: 125_000,
      memoryBytes: gib + (128n << 20n),
    })
    expect(sandboxResources(pod)).toMatchObject({ cpuShares: 1024, memoryLimitInBytes: String(gib) })
    expect(sandboxOverhead(pod)).toEqual({
      cpuShares: 256,
      cpuPeriod: 100_000,
      cpuQuota: 25_000,
      memoryLimitInBytes: String(128n << 20n),
    })
    expect(sandboxOverhead(aPod())).toBeUndefined()
  })
})
