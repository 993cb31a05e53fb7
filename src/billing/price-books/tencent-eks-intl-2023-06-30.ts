import { tkeHardware, tkeSize } from '../../model/foreign-keys.ts'
import type { GpuRow, PriceBook } from '../../model/price-book.ts'
import { gibibytes } from './gibibytes.ts'

/** `cards('V100', [1, 8, 40])`: of so many cards, with so many cores and GiB. */
function cards(gpuModel: string, ...rows: readonly [gpus: number, cores: number, gib: number][]): GpuRow[] {
  return rows.map(([gpus, cores, gib]) => ({
    gpuModel,
    gpus: BigInt(gpus),
    cpuMillis: BigInt(cores) * 1000n,
    memoryMiB: BigInt(gib) * 1024n,
  }))
}

/**
 * Tencent Cloud's elastic containers (EKS, now TKE super nodes), international site. An example of real prices, not an
 * offer: look up the current ones before money depends on it.
 */
export const tencentEksIntl: PriceBook = {
  id: 'tencent-eks-intl-2023-06-30',
  source:
    'Tencent Cloud International, documentation of Elastic Kubernetes Service: Product Pricing, Resource Specifications, Spot Mode',
  retrievedAt: '2023-06-30',
  notes: [
    'Not current: verify before use.',
    'Intel, unless annotation eks.tke.cloud.tencent.com/cpu-type asks for amd; of a list the first that has a size. Nothing is ever out of stock here.',
    'The page has a second column per hour that differs after three digits (0.0179 against 3600 × 0.000004976 = 0.0179136). The per-second prices are the authority.',
    'The page prices whole seconds without saying how they are rounded. Milliseconds are billed as they are; amounts are rounded to nano-units per line. Both are decisions of ours.',
    'Spot is a fixed 80 % off CPU and memory (and GPU): each spot price is a fifth of the other, by our arithmetic.',
    'No GPU price is published: GPU time is recorded, and named as unpriced. CPU and memory of a GPU size are priced as Intel’s. A part of a card counts as one GPU, as in nvidia.com/gpu; its model says which part.',
    'TKE wants annotation eks.tke.cloud.tencent.com/gpu-type on each GPU Pod. Without it the first size of the table that holds the Pod counts here, which begins with V100.',
    'How the annotation spells the A10 models is not in what was read: they are taken as in A10*GNV4.',
    'The first worked example of the page (0.019495) contradicts its own formula (0.0109464); the second (0.437856) agrees.',
  ],
  currency: 'USD',
  prices: [
    { sku: 'eks-intel-core', unit: 'Core-Seconds', price: '0.000004976' },
    { sku: 'eks-intel-memory', unit: 'GiB-Seconds', price: '0.000002073' },
    { sku: 'eks-intel-core-spot', unit: 'Core-Seconds', price: '0.0000009952', purchase: 'spot' },
    { sku: 'eks-intel-memory-spot', unit: 'GiB-Seconds', price: '0.0000004146', purchase: 'spot' },
    { sku: 'eks-amd-core', unit: 'Core-Seconds', price: '0.00000219', cpuType: 'AMD' },
    { sku: 'eks-amd-memory', unit: 'GiB-Seconds', price: '0.00000127', cpuType: 'AMD' },
    {
      sku: 'eks-amd-core-spot',
      unit: 'Core-Seconds',
      price: '0.000000438',
      cpuType: 'AMD',
      purchase: 'spot',
    },
    {
      sku: 'eks-amd-memory-spot',
      unit: 'GiB-Seconds',
      price: '0.000000254',
      cpuType: 'AMD',
      purchase: 'spot',
    },
  ],
  minimumSeconds: 0,
  secondRounding: 'none',
  memoryOverheadMiB: 0n,
  lineRounding: { scale: 9, mode: 'half_even' },
  specTable: {
    kind: 'stepped',
    demand: 'requests-or-largest-limit',
    defaults: { cpuMillis: 1000n, memoryMiB: 2048n },
    annotations: { ...tkeSize, ...tkeHardware },
    cpuType: 'Intel',
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
    otherCpuTypes: [
      {
        cpuType: 'AMD',
        rows: [
          { cpuMillis: 1000n, memoryMiB: gibibytes(1, 4) },
          { cpuMillis: 2000n, memoryMiB: gibibytes(2, 8) },
          { cpuMillis: 4000n, memoryMiB: gibibytes(4, 16) },
          { cpuMillis: 8000n, memoryMiB: gibibytes(8, 32) },
          { cpuMillis: 16_000n, memoryMiB: gibibytes(32, 64) },
        ],
      },
    ],
    gpuRows: [
      ...cards('V100', [1, 8, 40], [2, 18, 80], [4, 36, 160], [8, 72, 320]),
      ...cards('1/4 T4', [1, 4, 20]),
      ...cards('1/2 T4', [1, 10, 40]),
      ...cards('T4', [1, 8, 32], [1, 20, 80], [1, 32, 128], [2, 40, 160], [4, 80, 320]),
      ...cards('A10 PNV4', [1, 28, 116], [2, 56, 232], [4, 112, 466], [8, 224, 932]),
      ...cards('A10 GNV4', [1, 12, 44]),
      ...cards('1/4 A10 GNV4v', [1, 6, 24]),
      ...cards('1/2 A10 GNV4v', [1, 14, 58]),
      ...cards('A10 GNV4v', [1, 28, 116]),
    ],
  },
}
