import { describe, expect, it } from 'vitest'
import { awsFargate as book } from '../../../src/billing/price-books/aws-fargate-us-east-1-2026-03.ts'
import { tkeSpot } from '../../../src/model/foreign-keys.ts'
import { chooseSpec } from '../../../src/model/spec.ts'
import { billedFor, container, linesFor, perSecond, podOf, sizeBy } from '../../support/priced-pods.ts'

const size = { cpuMillis: 1000n, memoryMiB: 2048n, gpus: 0n }

describe('Fargate’s sizes', () => {
  it.each([
    ['1', '8Gi', '2 cores, 9 GiB'],
    ['250m', '512Mi', '0.25 cores, 1 GiB'],
    ['250m', '256Mi', '0.25 cores, 512 MiB'],
    ['250m', '1792Mi', '0.25 cores, 2 GiB'],
    ['250m', '1793Mi', '0.5 cores, 3 GiB'],
    ['4', '30Gi', '8 cores, 32 GiB'],
    ['16', '119Gi', '16 cores, 120 GiB'],
    ['16', '120Gi', '16 cores, 120.25 GiB is more than the largest size, 16 cores with 120 GiB'],
  ])('%s CPU and %s, with 256 MiB for Kubernetes itself, are %s', (cpu, memory, expected) => {
    const found = sizeBy(book, podOf([container({ cpu, memory })]))
    expect(found.replace('123136 MiB', '120.25 GiB')).toBe(expected)
  })

  it('are the smallest there is for a Pod that asks for nothing', () => {
    expect(sizeBy(book, podOf([container({})]))).toBe('0.25 cores, 512 MiB')
  })

  it('go by requests: of limits nobody asks, and of init containers the largest', () => {
    const main = container({ cpu: '1', memory: '1Gi' }, { cpu: '4', memory: '8Gi' })
    expect(sizeBy(book, podOf([main]))).toBe('1 core, 2 GiB')
    const init = container({ cpu: '500m', memory: '6Gi' })
    expect(sizeBy(book, podOf([main, main], { initContainers: [init, init] }))).toBe('2 cores, 7 GiB')
  })

  it('have no cards', () => {
    expect(sizeBy(book, podOf([container({ cpu: '1', 'nvidia.com/gpu': '1' })]))).toBe(
      'the price book has no GPU sizes',
    )
  })
})

describe('Fargate’s prices', () => {
  it('are 0.04048 and 0.004445 an hour', () => {
    expect(billedFor(book, size, 3_600_000)).toBe('0.04937')
    // 0.04048 ÷ 3600, which is not the 0.000011244 of another page.
    expect(perSecond(book, { ...size, memoryMiB: 0n })).toBe('0.000011244444444')
  })

  it.each([
    [1, 60_000],
    [1_000, 60_000],
    [60_000, 60_000],
    [60_001, 61_000],
    [61_000, 61_000],
  ])('bill %d ms as %d', (ranMs, billedMs) => {
    const billed = linesFor(book, size, ranMs).map(({ quantity }) => quantity)
    expect(billed).toEqual([1000n * BigInt(billedMs), 2048n * BigInt(billedMs)])
  })

  it('know no spot: who asks for it is billed on demand, and told so', () => {
    const pod = podOf([container({ cpu: '1' })], { annotations: { [tkeSpot]: 'true' } })
    const choice = chooseSpec(pod, book)
    expect(choice.spec).not.toHaveProperty('purchase')
    expect(choice.steps.at(-1)).toBe('spot was asked for, the price book has no such price: on demand')
  })
})
