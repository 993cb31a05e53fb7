import { describe, expect, it } from 'vitest'
import { tencentEksIntl as book } from '../../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import { tkeHardware, tkeSpot } from '../../../src/model/foreign-keys.ts'
import { parseDecimal, rational, times } from '../../../src/model/money.ts'
import { purchaseAnnotation } from '../../../src/model/words.ts'
import {
  billedFor,
  container,
  linesFor,
  perSecond,
  podOf,
  sizeBy,
  type Amounts,
} from '../../support/priced-pods.ts'

const size = (cores: number, gib: number) => ({
  cpuMillis: BigInt(cores * 1000),
  memoryMiB: BigInt(gib * 1024),
  gpus: 0n,
})

function sizeOf(requests: Amounts, annotations: Amounts = {}): string {
  return sizeBy(book, podOf([container(requests)], { annotations }))
}

describe('Tencent’s prices', () => {
  it('give the page’s Sample 2 to the last digit: 2 × 10 × (4 cores, 8 GiB) × 600 s', () => {
    expect(Number(billedFor(book, size(4, 8), 600_000)) * 20).toBeCloseTo(0.437856, 12)
    expect(billedFor(book, size(4, 8), 600_000)).toBe('0.0218928')
  })

  it('do not give what the page prints for Sample 1, whose own formula they follow', () => {
    const printed = 0.019495
    const formula = 2 * (2 * 0.000004976 + 4 * 0.000002073) * 300
    expect(formula).toBeCloseTo(0.0109464, 12)
    expect(formula).not.toBeCloseTo(printed, 3)
    expect(billedFor(book, size(2, 4), 300_000)).toBe('0.0054732')
  })

  it('are those of AMD for who asks for it, and of spot a fifth of either, exactly', () => {
    expect(perSecond(book, { ...size(1, 1), cpuType: 'AMD' })).toBe('0.00000346')
    expect(perSecond(book, { ...size(1, 1), purchase: 'spot' })).toBe('0.0000014098')
    expect(perSecond(book, { ...size(1, 1), cpuType: 'AMD', purchase: 'spot' })).toBe('0.000000692')
    for (const spot of book.prices.filter(({ purchase }) => purchase === 'spot')) {
      const dear = book.prices.find(({ sku }) => sku === spot.sku.replace('-spot', ''))
      expect(dear?.unit).toBe(spot.unit)
      expect(parseDecimal(spot.price)).toEqual(times(parseDecimal(dear?.price ?? '0'), rational(1n, 5n)))
    }
  })

  it('make lines of their own for each, which say how they were bought', () => {
    const lines = linesFor(book, { ...size(1, 2), cpuType: 'AMD', purchase: 'spot' }, 1000)
    expect(lines.map(({ sku, purchase }) => [sku, purchase])).toEqual([
      ['eks-amd-core-spot', 'spot'],
      ['eks-amd-memory-spot', 'spot'],
    ])
    expect(linesFor(book, size(1, 2), 1000)[0]).toMatchObject({
      sku: 'eks-intel-core',
      purchase: 'on-demand',
    })
  })

  it('have none for cards, whose time is there all the same', () => {
    const lines = linesFor(book, { ...size(8, 40), gpus: 1n, gpuModel: 'V100' }, 1000)
    expect(lines.at(-1)).toMatchObject({ resource: 'gpu', sku: undefined, quantity: 1000n, nanos: 0n })
  })
})

describe('Tencent’s sizes', () => {
  it('are AMD’s for who asks for amd, by a list of which the first counts that has a size', () => {
    const asking = (cpuType: string, requests: Amounts = { cpu: '250m', memory: '512Mi' }): string =>
      sizeOf(requests, { [tkeHardware.cpuType]: cpuType })
    expect(asking('intel')).toBe('0.25 cores, 512 MiB')
    expect(asking('amd')).toBe('1 core (AMD), 1 GiB')
    expect(asking('amd,intel')).toBe('1 core (AMD), 1 GiB')
    expect(asking('intel,amd')).toBe('0.25 cores, 512 MiB')
    expect(asking('amd', { cpu: '8', memory: '40Gi' })).toBe('16 cores (AMD), 40 GiB')
    expect(asking('S4')).toBe('0.25 cores, 512 MiB')
    expect(asking('S4, AMD')).toBe('1 core (AMD), 1 GiB')
    expect(asking('amd', {})).toBe('1 core (AMD), 2 GiB')
    expect(asking('amd', { cpu: '17' })).toContain('more than the largest size, 16 cores with 64 GiB')
  })

  it.each([
    ['V100', '1', '8', '32Gi', '8 cores, 40 GiB, 1 × V100'],
    ['V100', '2', '16', '64Gi', '18 cores, 80 GiB, 2 × V100'],
    ['V100', '2', '32', '128Gi', '36 cores, 160 GiB, 4 × V100'],
    ['V100', '8', '72', '320Gi', '72 cores, 320 GiB, 8 × V100'],
    ['1/4*T4', '1', '2', '8Gi', '4 cores, 20 GiB, 1 × 1/4 T4'],
    ['1/2*T4', '1', '2', '8Gi', '10 cores, 40 GiB, 1 × 1/2 T4'],
    ['T4', '1', '8', '32Gi', '8 cores, 32 GiB, 1 × T4'],
    ['T4', '1', '9', '32Gi', '20 cores, 80 GiB, 1 × T4'],
    ['T4', '1', '21', '32Gi', '32 cores, 128 GiB, 1 × T4'],
    ['T4', '2', '1', '1Gi', '40 cores, 160 GiB, 2 × T4'],
    ['T4', '4', '1', '1Gi', '80 cores, 320 GiB, 4 × T4'],
    ['T4,V100', '8', '1', '1Gi', '72 cores, 320 GiB, 8 × V100'],
    ['A10*PNV4', '1', '1', '1Gi', '28 cores, 116 GiB, 1 × A10 PNV4'],
    ['A10*PNV4', '8', '1', '1Gi', '224 cores, 932 GiB, 8 × A10 PNV4'],
    ['A10*GNV4', '1', '1', '1Gi', '12 cores, 44 GiB, 1 × A10 GNV4'],
    ['1/4*A10*GNV4v', '1', '1', '1Gi', '6 cores, 24 GiB, 1 × 1/4 A10 GNV4v'],
    ['1/2*A10*GNV4v', '1', '1', '1Gi', '14 cores, 58 GiB, 1 × 1/2 A10 GNV4v'],
    ['A10*GNV4v', '1', '1', '1Gi', '28 cores, 116 GiB, 1 × A10 GNV4v'],
    ['T4', '8', '1', '1Gi', 'no GPU size holds 1 core, 1 GiB, 8 × GPU'],
    ['1/4*T4', '2', '1', '1Gi', 'no GPU size holds 1 core, 1 GiB, 2 × GPU'],
  ])('with gpu-type %s, %s cards, %s cores and %s are %s', (model, cards, cpu, memory, expected) => {
    const requests = { cpu, memory, 'nvidia.com/gpu': cards }
    expect(sizeOf(requests, { [tkeHardware.gpuModel]: model })).toBe(expected)
  })

  it('tell what the table does not have', () => {
    const annotations = { [tkeHardware.gpuModel]: 'H800', [tkeHardware.cpuType]: 'arm' }
    const pod = podOf([container({ cpu: '1', 'nvidia.com/gpu': '1' })], { annotations })
    expect(sizeBy(book, pod)).toBe('8 cores, 40 GiB, 1 × V100')
  })

  it('are bought as TKE’s annotation says, and as ours says before it', () => {
    const asked = { cpu: '1', memory: '2Gi' }
    expect(sizeOf(asked, { [tkeSpot]: 'true' })).toBe('1 core, 2 GiB, spot')
    expect(sizeOf(asked, { [purchaseAnnotation]: 'spot' })).toBe('1 core, 2 GiB, spot')
    expect(sizeOf(asked, { [tkeSpot]: 'true', [purchaseAnnotation]: 'on-demand' })).toBe('1 core, 2 GiB')
    expect(sizeOf(asked, { [purchaseAnnotation]: 'cheap' })).toBe('1 core, 2 GiB')
  })
})
