import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { explainPrice } from '../../src/billing/explain-price.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import type { Pod } from '../../src/model/kubernetes.ts'

const atMs = Date.parse('2026-11-28T00:00:00Z')

function asking(requests: Readonly<Record<string, string>>): Pod {
  return { spec: { containers: [{ name: 'main', resources: { requests } }] } }
}

describe('the price of a Pod', () => {
  it('tells the size, each step to it, and what of it nobody asked for', () => {
    const told = explainPrice(asking({ cpu: '3', memory: '5Gi' }), tencentEksIntl, atMs)
    expect(told).toMatchObject({
      priceBook: 'tencent-eks-intl-2023-06-30',
      currency: 'USD',
      steps: [
        'asked for, as the larger of all requests together and the largest limit: 3 cores, 5 GiB',
        'smallest size that holds it: 4 cores, 8 GiB',
      ],
      // (4 × 0.000004976 + 8 × 0.000002073) a second.
      size: {
        spec: '4 cores, 8 GiB',
        perSecond: '0.000036488',
        perHour: '0.1313568',
        unusedPercent: { cpu: 25, memory: 37 },
      },
      error: undefined,
    })
  })

  it('names the nearest change that makes it cheaper', () => {
    const told = explainPrice(asking({ cpu: '4', memory: '33Gi' }), tencentEksIntl, atMs)
    expect(told.size?.spec).toBe('12 cores, 33 GiB')
    expect(told.cheaper).toMatchObject({
      change: 'ask for 32 GiB in place of 33 GiB',
      size: { spec: '4 cores, 32 GiB', unusedPercent: { cpu: 0, memory: 0 } },
      savedPercent: 33,
    })
    expect(explainPrice(asking({ cpu: '2100m', memory: '4Gi' }), tencentEksIntl, atMs).cheaper?.change).toBe(
      'ask for 2 cores in place of 2.1 cores',
    )
  })

  it('names none where none is near', () => {
    expect(explainPrice(asking({ cpu: '3', memory: '8Gi' }), tencentEksIntl, atMs).cheaper).toBeUndefined()
    expect(
      explainPrice(asking({ cpu: '250m', memory: '512Mi' }), tencentEksIntl, atMs).cheaper,
    ).toBeUndefined()
    expect(explainPrice(asking({ cpu: '3', memory: '33Gi' }), flatDemo, atMs).cheaper).toBeUndefined()
  })

  it('tells who asks for nothing what asking for little would save', () => {
    const told = explainPrice(asking({}), tencentEksIntl, atMs)
    expect(told.size).toMatchObject({ spec: '1 core, 2 GiB', unusedPercent: { cpu: 100, memory: 100 } })
    expect(told.cheaper).toMatchObject({
      change: 'ask for 0.25 cores, 512 MiB, if that is enough, in place of nothing',
      size: { spec: '0.25 cores, 512 MiB' },
    })
  })

  it('says why there is no size', () => {
    const told = explainPrice(asking({ cpu: '17', memory: '8Gi' }), tencentEksIntl, atMs)
    expect(told).toMatchObject({ size: undefined, cheaper: undefined })
    expect(told.error).toContain('more than the largest size')
  })

  it('never calls cheaper what is not, or what is far away', () => {
    const amounts = fc.record({
      cpu: fc.integer({ min: 0, max: 16_000 }),
      memory: fc.integer({ min: 0, max: 65_536 }),
    })
    fc.assert(
      fc.property(amounts, ({ cpu, memory }) => {
        const pod = asking({ cpu: `${cpu}m`, memory: `${memory}Mi` })
        const { size, cheaper } = explainPrice(pod, tencentEksIntl, atMs)
        if (!cheaper) return
        expect(Number(cheaper.size.perHour)).toBeLessThan(Number(size?.perHour))
        expect(cheaper.savedPercent).toBeGreaterThanOrEqual(0)
        expect(cheaper.change).toMatch(/^ask for /)
      }),
    )
  })
})
