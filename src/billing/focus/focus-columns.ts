import type { BilledResource } from '../../model/price-book.ts'
import type { FocusRow } from './focus-row.ts'

export const focusVersions = ['1.2', '1.4'] as const
export type FocusVersion = (typeof focusVersions)[number]

/** What the ledger does not know, and FOCUS asks for. */
export interface FocusParties {
  /** Who issues the invoice, and provides the service. */
  readonly operator: string
  /** On whose machines it runs. */
  readonly host: string
  /** What the billing account is called; undefined: FOCUS's null. */
  readonly accountName: string | undefined
}

export interface FocusColumn {
  readonly name: string
  readonly type: 'STRING' | 'DECIMAL' | 'DATETIME' | 'JSON'
  /** Undefined: the column is in every version. */
  readonly versions?: readonly FocusVersion[]
  /** Undefined is null. */
  readonly of: (row: FocusRow, parties: FocusParties) => string | undefined
}

export function focusColumns(version: FocusVersion): readonly FocusColumn[] {
  return columns.filter(({ versions }) => versions === undefined || versions.includes(version))
}

/**
 * FOCUS's own first, then ours. Left out, since virtual nodes have nothing of the kind: commitment discounts, capacity
 * reservations; and regions and zones, which the ledger does not keep. Prices are in the currency of the bill.
 */
const columns: readonly FocusColumn[] = [
  { name: 'BilledCost', type: 'DECIMAL', of: ({ cost }) => cost },
  { name: 'BillingAccountId', type: 'STRING', of: ({ clusterUid }) => clusterUid || undefined },
  { name: 'BillingAccountName', type: 'STRING', of: (_row, { accountName }) => accountName },
  { name: 'BillingCurrency', type: 'STRING', of: ({ currency }) => currency },
  { name: 'BillingPeriodEnd', type: 'DATETIME', of: ({ billingPeriod }) => dateTime(billingPeriod.toMs) },
  { name: 'BillingPeriodStart', type: 'DATETIME', of: ({ billingPeriod }) => dateTime(billingPeriod.fromMs) },
  { name: 'ChargeCategory', type: 'STRING', of: ({ category }) => category },
  {
    name: 'ChargeClass',
    type: 'STRING',
    of: ({ isCorrection }) => (isCorrection ? 'Correction' : undefined),
  },
  { name: 'ChargeDescription', type: 'STRING', of: ({ description }) => description },
  {
    name: 'ChargeFrequency',
    type: 'STRING',
    of: ({ category }) => (category === 'Usage' ? 'Usage-Based' : 'One-Time'),
  },
  { name: 'ChargePeriodEnd', type: 'DATETIME', of: chargePeriodEnd },
  { name: 'ChargePeriodStart', type: 'DATETIME', of: ({ fromMs }) => dateTime(floorSecond(fromMs)) },
  // Always null. Other columns' rules speak of it, and the official validator stumbles where it is not there.
  { name: 'CommitmentDiscountStatus', type: 'STRING', of: () => undefined },
  { name: 'ConsumedQuantity', type: 'DECIMAL', of: ({ consumedQuantity }) => consumedQuantity },
  { name: 'ConsumedUnit', type: 'STRING', of: ({ consumedUnit }) => consumedUnit },
  { name: 'ContractedCost', type: 'DECIMAL', of: ({ cost }) => cost },
  { name: 'ContractedUnitPrice', type: 'DECIMAL', of: ({ unitPrice }) => unitPrice },
  { name: 'EffectiveCost', type: 'DECIMAL', of: ({ cost }) => cost },
  { name: 'HostProviderName', type: 'STRING', versions: ['1.4'], of: (_row, { host }) => host },
  // Spillway bills, and issues no invoice that somebody pays.
  { name: 'InvoiceId', type: 'STRING', of: () => undefined },
  { name: 'InvoiceIssuerName', type: 'STRING', of: (_row, { operator }) => operator },
  { name: 'ListCost', type: 'DECIMAL', of: ({ cost }) => cost },
  { name: 'ListUnitPrice', type: 'DECIMAL', of: ({ unitPrice }) => unitPrice },
  {
    name: 'PricingCategory',
    type: 'STRING',
    of: ({ category, isSpot }) => (category === 'Usage' ? (isSpot ? 'Dynamic' : 'Standard') : undefined),
  },
  { name: 'PricingCurrency', type: 'STRING', of: ({ currency }) => currency },
  { name: 'PricingCurrencyContractedUnitPrice', type: 'DECIMAL', of: ({ unitPrice }) => unitPrice },
  { name: 'PricingCurrencyEffectiveCost', type: 'DECIMAL', of: ({ cost }) => cost },
  { name: 'PricingCurrencyListUnitPrice', type: 'DECIMAL', of: ({ unitPrice }) => unitPrice },
  { name: 'PricingQuantity', type: 'DECIMAL', of: ({ pricingQuantity }) => pricingQuantity },
  { name: 'PricingUnit', type: 'STRING', of: ({ pricingUnit }) => pricingUnit },
  { name: 'ProviderName', type: 'STRING', versions: ['1.2'], of: (_row, { operator }) => operator },
  { name: 'PublisherName', type: 'STRING', versions: ['1.2'], of: (_row, { operator }) => operator },
  {
    name: 'ResourceId',
    type: 'STRING',
    of: ({ clusterUid, podUid, pod }) => (pod === '' ? undefined : `${clusterUid}/${podUid}`),
  },
  { name: 'ResourceName', type: 'STRING', of: ({ pod }) => pod || undefined },
  { name: 'ResourceType', type: 'STRING', of: ({ pod }) => (pod === '' ? undefined : 'Pod') },
  { name: 'ServiceCategory', type: 'STRING', of: () => 'Compute' },
  { name: 'ServiceName', type: 'STRING', of: () => 'Spillway virtual nodes' },
  { name: 'ServiceProviderName', type: 'STRING', versions: ['1.4'], of: (_row, { operator }) => operator },
  { name: 'ServiceSubcategory', type: 'STRING', of: () => 'Containers' },
  { name: 'SkuId', type: 'STRING', of: ({ sku }) => sku },
  { name: 'SkuMeter', type: 'STRING', of: ({ resource }) => resource && meters[resource].name },
  { name: 'SkuPriceDetails', type: 'JSON', of: ({ resource }) => resource && meters[resource].details },
  { name: 'SkuPriceId', type: 'STRING', of: ({ sku }) => sku },
  { name: 'SubAccountId', type: 'STRING', of: ({ namespace }) => namespace || undefined },
  { name: 'SubAccountName', type: 'STRING', of: ({ namespace }) => namespace || undefined },
  { name: 'Tags', type: 'JSON', of: ({ labels }) => JSON.stringify(labels) },
  { name: 'x_Pool', type: 'STRING', of: ({ pool }) => pool || undefined },
  { name: 'x_Workload', type: 'STRING', of: ({ workload }) => workload || undefined },
  { name: 'x_Incarnation', type: 'DECIMAL', of: ({ incarnation }) => String(incarnation) },
  { name: 'x_Size', type: 'STRING', of: ({ spec }) => spec },
  { name: 'x_PriceBook', type: 'STRING', of: ({ priceBook }) => priceBook },
  { name: 'x_ExactStart', type: 'STRING', of: ({ fromMs }) => new Date(fromMs).toISOString() },
  { name: 'x_ExactEnd', type: 'STRING', of: ({ toMs }) => new Date(toMs).toISOString() },
  { name: 'x_Estimated', type: 'STRING', of: ({ estimated }) => String(estimated) },
  { name: 'x_ExactCost', type: 'STRING', of: ({ exactCost }) => exactCost },
  { name: 'x_InvoicedCost', type: 'DECIMAL', of: ({ invoicedCost }) => invoicedCost },
]

/** FOCUS wants of a property what a single pricing unit has of it: one core-hour is one core. */
const meters: Readonly<Record<BilledResource, { readonly name: string; readonly details: string }>> = {
  cpu: { name: 'CPU time', details: '{"CoreCount":1}' },
  memory: { name: 'Memory time', details: '{"MemorySize":1}' },
  gpu: { name: 'GPU time', details: '{"GpuCount":1}' },
}

/**
 * FOCUS has whole seconds: the start is rounded down and the end up, which never leaves the hour. An instant, as a
 * correction has it, is the second in which it lies.
 */
function chargePeriodEnd({ fromMs, toMs }: FocusRow): string {
  return dateTime(Math.max(-floorSecond(-toMs), floorSecond(fromMs) + 1000))
}

function floorSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}

function dateTime(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}
