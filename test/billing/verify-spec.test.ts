import { describe, expect, it } from 'vitest'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import { billingTerms } from '../../src/billing/meter.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { specProblem } from '../../src/billing/verify-spec.ts'

const pod = (cpu: string, memory: string, gpus = 0) => ({
  metadata: { name: 'p' },
  spec: {
    containers: [
      {
        name: 'c',
        resources: { requests: { cpu, memory, ...(gpus > 0 && { 'nvidia.com/gpu': String(gpus) }) } },
      },
    ],
  },
})

describe('the size that a Pod is billed at', () => {
  it('is found right by trying every cell, in every book that is shipped', () => {
    for (const book of shippedPriceBooks) {
      for (const cpu of ['10m', '250m', '1', '1100m', '3', '17', '90']) {
        for (const memory of ['1Mi', '1Gi', '3Gi', '9Gi', '70Gi', '900Gi']) {
          expect(specProblem(billingTerms(pod(cpu, memory), book), book)).toBeUndefined()
        }
      }
    }
  })

  it.each([
    ['too small', { cpuMillis: 1000n, memoryMiB: 1024n }, 'does not hold what was asked for'],
    ['no cell', { cpuMillis: 2000n, memoryMiB: 4097n }, 'is not in the table'],
    ['too large', { cpuMillis: 4000n, memoryMiB: 8192n }, 'is more than 2 cores, 4 GiB'],
  ])('is found wrong: %s', (_what, size, message) => {
    const terms = billingTerms(pod('1100m', '4Gi'), tencentEksIntl)
    expect(specProblem({ ...terms, spec: { ...terms.spec, ...size } }, tencentEksIntl)).toContain(message)
  })

  it('is what was asked for, where the book is exact', () => {
    const terms = billingTerms(pod('1100m', '4Gi'), flatDemo)
    expect(specProblem({ ...terms, spec: { ...terms.spec, cpuMillis: 1200n } }, flatDemo)).toContain(
      'is not what',
    )
  })
})
