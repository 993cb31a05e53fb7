import { describe, expect, it } from 'vitest'
import { formatStatus } from '../../../src/cli/commands/status.ts'
import { readModel, type ReadModelOptions } from '../../../src/console/api/read-model.ts'
import { ObjectStore } from '../../../src/kube/store.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import type { Node } from '../../../src/model/kubernetes.ts'
import { poolLabel } from '../../../src/model/words.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { aNode, aPod } from '../../support/builders.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const never = new AbortController().signal

/** One node with one Pod, and a ledger that answers this. */
function modelOf(running: ReadModelOptions['billing']['running']) {
  const nodes = new ObjectStore<Node>({ log: silentLog() })
  const node = aNode({ name: 'burst-0' })
  nodes.replaceAll([{ ...node, metadata: { ...node.metadata, labels: { [poolLabel]: 'burst' } } }])
  const billing = {
    running,
    spendPerHour: () => Promise.resolve([{ currency: 'USD', amount: '0.05' }]),
  }
  return readModel({
    clusterName: 'c',
    pools: () => [{ name: 'burst', backend: 'local', priceBook: 'flat-demo' }],
    nodes,
    podsOn: () => [aPod({ name: 'web' })],
    billing,
    clock: new FakeClock(),
  } as unknown as ReadModelOptions)
}

describe('status', () => {
  it('says what runs costs', async () => {
    const status = await modelOf(() => Promise.resolve([])).status(never)
    expect(status).toMatchObject({ pods: [{ name: 'web' }], ledgerTrouble: '' })
    expect(formatStatus(status)).toContain('Spend per hour now: 0.05 USD\n')
  })

  it.each(['LedgerUnavailable', 'LedgerCorrupt'] as const)(
    'shows Pods without their prices while the ledger is %s, and says why',
    async (code) => {
      const status = await modelOf(() => Promise.reject(new SpillwayError(code, 'db: away'))).status(never)
      expect(status).toMatchObject({ pods: [{ name: 'web', spec: '' }], spendPerHour: [] })
      expect(formatStatus(status)).toContain('Spend per hour now: not known: db: away\n')
    },
  )

  it('does not take an error of ours for the ledger’s', async () => {
    await expect(modelOf(() => Promise.reject(new Error('a bug'))).status(never)).rejects.toThrow('a bug')
  })
})
