import type { PriceBook } from '../../model/price-book.ts'

/** `gibibytes(4, 16)`: every GiB from 4 to 16, in MiB. */
function gibibytes(from: number, to: number): bigint[] {
  return Array.from({ length: to - from + 1 }, (_, index) => BigInt(from + index) * 1024n)
}

/**
 * Tencent Cloud's elastic containers (EKS, now TKE super nodes), international site, Intel column. An example of real
 * prices, not an offer: look up the current ones before money depends on it.
 */
export const tencentEksIntl: PriceBook = {
  id: 'tencent-eks-intl-2023-06-30',
  source: 'Tencent Cloud International, product documentation of Elastic Kubernetes Service: Product Pricing',
  retrievedAt: '2023-06-30',
  notes: [
    'Intel column. Not current: verify before use.',
    'The page has a second column per hour that differs after three digits (0.0179 against 3600 × 0.000004976 = 0.0179136). The per-second prices are the authority.',
    'The page prices whole seconds without saying how they are rounded. Milliseconds are billed as they are; amounts are rounded to nano-units per line. Both are decisions of ours.',
    'No GPU price is published: GPU time is recorded, and named as unpriced.',
    'The first worked example of the page (0.019495) contradicts its own formula (0.0109464); the second (0.437856) agrees.',
  ],
  currency: 'USD',
  prices: [
    { sku: 'eks-intel-core', unit: 'Core-Seconds', price: '0.000004976' },
    { sku: 'eks-intel-memory', unit: 'GiB-Seconds', price: '0.000002073' },
  ],
  minimumSeconds: 0,
  secondRounding: 'none',
  memoryOverheadMiB: 0n,
  lineRounding: { scale: 9, mode: 'half_even' },
  specTable: {
    kind: 'stepped',
    defaults: { cpuMillis: 1000n, memoryMiB: 2048n },
    annotations: { cpu: 'eks.tke.cloud.tencent.com/cpu', memory: 'eks.tke.cloud.tencent.com/mem' },
    rows: [
      { cpuMillis: 250n, memoryMiB: [512n, 1024n, 2048n] },
      { cpuMillis: 500n, memoryMiB: gibibytes(1, 4) },
      { cpuMillis: 1000n, memoryMiB: gibibytes(1, 8) },
      { cpuMillis: 2000n, memoryMiB: gibibytes(4, 16) },
      { cpuMillis: 4000n, memoryMiB: gibibytes(8, 32) },
      { cpuMillis: 8000n, memoryMiB: gibibytes(16, 32) },
      { cpuMillis: 12_000n, memoryMiB: gibibytes(24, 48) },
      { cpuMillis: 16_000n, memoryMiB: gibibytes(32, 64) },
    ],
    gpuRows: [
      { gpuModel: 'V100', gpus: 1n, cpuMillis: 8000n, memoryMiB: 40_960n },
      { gpuModel: 'V100', gpus: 2n, cpuMillis: 18_000n, memoryMiB: 81_920n },
      { gpuModel: 'V100', gpus: 4n, cpuMillis: 36_000n, memoryMiB: 163_840n },
      { gpuModel: 'V100', gpus: 8n, cpuMillis: 72_000n, memoryMiB: 327_680n },
    ],
  },
}
