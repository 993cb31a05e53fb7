import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cpuQuotaUs, cpuShares } from '../../../../src/backends/cri/resources/linux-resources.ts'
import { containerInEffect, podInEffect } from '../../../../src/backends/cri/resources/resources-in-effect.ts'

const linux = (cpuSharesText: string, cpuQuota: string, memory: string) => ({
  resources: {
    linux: { cpuPeriod: '100000', cpuQuota, cpuShares: cpuSharesText, memoryLimitInBytes: memory },
  },
})

describe('what a container has in effect', () => {
  it('is the runtime’s word, with the memory request that only we know', () => {
    const given = { requests: { cpu: '9', memory: '32Mi' } }
    expect(containerInEffect(linux('204', '20000', '67108864'), given)).toEqual({
      requests: { cpu: '200m', memory: '32Mi' },
      limits: { cpu: '200m', memory: '64Mi' },
    })
  })

  it('is without what is unlimited', () => {
    expect(containerInEffect(linux('2', '0', '0'), undefined)).toEqual({
      requests: { cpu: '2m' },
      limits: {},
    })
  })

  it('is not known of a runtime that does not tell', () => {
    expect(containerInEffect({ resources: null }, undefined)).toBeUndefined()
    expect(containerInEffect({ resources: { linux: null } }, undefined)).toBeUndefined()
  })
})

describe('what a Pod has in effect', () => {
  it('comes back as it was asked for, above what the kernel can tell apart', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 10n, max: 200_000n }), (millis) => {
        const { requests, limits } = podInEffect({
          cpuShares: cpuShares(millis),
          cpuQuotaUs: cpuQuotaUs(millis),
        })
        expect(requests?.['cpu']).toBe(limits?.['cpu'])
        expect(limits?.['cpu']).toBe(millis % 1000n === 0n ? String(millis / 1000n) : `${millis}m`)
      }),
    )
  })
})
