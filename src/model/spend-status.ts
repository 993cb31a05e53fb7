/** Where caps on spend stand, in the status of a burst policy or a pool. */
export interface SpendStatus {
  readonly summary: string
  readonly currency: string
  readonly hour?: PeriodStatus
  readonly day?: PeriodStatus
  readonly month?: PeriodStatus
}

/** Decimals in the currency. */
export interface PeriodStatus {
  readonly spent: string
  readonly reserved: string
  readonly forecast?: string
  readonly cap: string
}
