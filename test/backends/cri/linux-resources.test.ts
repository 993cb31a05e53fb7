import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cpuWeight } from '../../../src/backends/cri/cgroups.ts'
import {
  cpuQuotaUs,
  cpuShares,
  oomScoreAdjust,
  podCgroupLimits,
} from '../../../src/backends/cri/linux-resources.ts'
import { aContainer, aPod } from '../../support/builders.ts'

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
})
