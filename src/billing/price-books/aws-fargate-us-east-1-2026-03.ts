import type { PriceBook } from '../../model/price-book.ts'
import { gibibytes } from './gibibytes.ts'

/**
 * AWS Fargate for EKS, us-east-1, Linux on x86. An example of real prices, not an offer: look up the current ones before
 * money depends on it.
 */
export const awsFargate: PriceBook = {
  id: 'aws-fargate-us-east-1-2026-03',
  source:
    'Prices: vantage.sh, confirmed by wring.co of 2026-03-10. Rules: aws.amazon.com/fargate/pricing; Amazon EKS user guide, Fargate Pod configuration, of 2024-12-18',
  retrievedAt: '2026-03-10',
  notes: [
    'Not current: verify before use. The prices are from pages of third parties.',
    'Linux on x86 only: EKS has no ARM on Fargate in what was read, and no spot.',
    'Amazon’s GB of memory are taken as GiB.',
    '256 MiB are added to what a Pod requests, for Kubernetes’ own programs, before a size is looked up: 1 vCPU and 8 GiB become 2 vCPU and 9 GiB.',
    'Each Pod is billed for a minute at least; started seconds count whole.',
    'Amazon bills until the Pod is deleted. This bills until its last container ends: what Spillway measures.',
    'Ephemeral storage past 20 GB has a price of its own (0.000111 per GB-hour) and is not billed here.',
    'A page of Amazon’s on ECS has 0.000011244 per vCPU-second, which is 0.0404784 per hour and not 0.04048. The hourly prices are the authority.',
    'Amounts are rounded to nano-units per line: a decision of ours.',
  ],
  currency: 'USD',
  prices: [
    { sku: 'fargate-linux-x86-core', unit: 'Core-Hours', price: '0.04048' },
    { sku: 'fargate-linux-x86-memory', unit: 'GiB-Hours', price: '0.004445' },
  ],
  minimumSeconds: 60,
  secondRounding: 'up',
  memoryOverheadMiB: 256n,
  lineRounding: { scale: 9, mode: 'half_even' },
  specTable: {
    kind: 'stepped',
    demand: 'requests',
    defaults: { cpuMillis: 250n, memoryMiB: 512n },
    rows: [
      { cpuMillis: 250n, memoryMiB: [512n, 1024n, 2048n] },
      { cpuMillis: 500n, memoryMiB: gibibytes(1, 4) },
      { cpuMillis: 1000n, memoryMiB: gibibytes(2, 8) },
      { cpuMillis: 2000n, memoryMiB: gibibytes(4, 16) },
      { cpuMillis: 4000n, memoryMiB: gibibytes(8, 30) },
      { cpuMillis: 8000n, memoryMiB: gibibytes(16, 60, 4) },
      { cpuMillis: 16_000n, memoryMiB: gibibytes(32, 120, 8) },
    ],
    gpuRows: [],
  },
}
