import type { LedgerHealth } from '../billing/ledger-health.ts'
import type { LedgerView } from '../console/api/contract.ts'
import type { LedgerSample } from '../telemetry/ledger-metrics.ts'

/** As `spillway status` prints it. */
export function ledgerView({ finding, lastCheck }: Pick<LedgerHealth, 'finding' | 'lastCheck'>): LedgerView {
  return { ...finding, checkedAtMs: lastCheck?.atMs }
}

export function ledgerSample({
  finding,
  isDamaged,
  lastCheck,
}: Pick<LedgerHealth, 'finding' | 'isDamaged' | 'lastCheck'>): LedgerSample {
  return {
    isReady: finding.status !== 'False',
    isDamaged,
    checkedAtSeconds: lastCheck && lastCheck.atMs / 1000,
  }
}
