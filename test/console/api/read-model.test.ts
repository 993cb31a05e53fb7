import { describe, expect, it } from 'vitest'
import { formatStatus } from '../../../src/cli/commands/status.ts'
import type { LedgerView } from '../../../src/console/api/contract.ts'
import { readModel, type ReadModelOptions } from '../../../src/console/api/read-model.ts'
import { ObjectStore } from '../../../src/kube/store.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import type { Node } from '../../../src/model/kubernetes.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { aPod } from '../../support/builders.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const never = new AbortController().signal
const damaged: LedgerView = { status: 'False', reason: 'LedgerCorrupt', message: 'm', checkedAtMs: 1 }

function statusWith(failure: Error | undefined) {
  const nodes = new ObjectStore<Node>({ log: silentLog() })
  nodes.put({ metadata: { name: 'burst-0', labels: { 'spillway.dev/pool': 'burst' }, resourceVersion: '1' } })
  const spend = { currency: 'USD', amount: '0.04' }
  const running = { podUid: 'uid-of-web', spec: '1 core', perHour: spend, billedSinceMs: 5 }
  const answer = <T>(value: T): Promise<T> => (failure ? Promise.reject(failure) : Promise.resolve(value))
  const options = {
    clusterName: 'c',
    pools: () => [{ name: 'burst', backend: 'local', priceBook: 'flat-demo' }],
    nodes,
    podsOn: () => [aPod()],
    billing: { running: () => answer([running]), spendPerHour: () => answer([spend]) },
    ledger: () => damaged,
    clock: new FakeClock(),
  }
  return readModel(options as unknown as ReadModelOptions).status(never)
}

describe('the status', () => {
  it('joins what runs with what it costs, and says how the ledger is', async () => {
    const status = await statusWith(undefined)
    expect(formatStatus(status)).toContain('Spend per hour now: 0.04 USD\n')
    expect(status).toMatchObject({
      ledgerTrouble: '',
      pools: [{ name: 'burst', nodes: 1, pods: 1 }],
      pods: [{ name: 'web', spec: '1 core', billedSinceMs: 5 }],
      spendPerHour: [{ amount: '0.04' }],
      ledger: damaged,
    })
  })

  it.each(['LedgerCorrupt', 'LedgerUnavailable'] as const)(
    'leaves out the cost when the ledger answers %s, and nothing else',
    async (code) => {
      const status = await statusWith(new SpillwayError(code, 'page 7 is torn'))
      expect(formatStatus(status)).toContain('Spend per hour now: not known: page 7 is torn\n')
      expect(status).toMatchObject({
        pools: [{ name: 'burst', nodes: 1, pods: 1 }],
        pods: [{ name: 'web', spec: '' }],
        spendPerHour: [],
        ledger: damaged,
      })
    },
  )

  it('hides no other error', async () => {
    await expect(statusWith(new Error('a bug'))).rejects.toThrow('a bug')
  })
})
