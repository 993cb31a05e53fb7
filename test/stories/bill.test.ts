import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Bill } from '../../src/billing/invoice.ts'
import { batchJob, deployments, jobs } from '../../src/cli/demo/manifests.ts'
import type { StatusView } from '../../src/console/api/contract.ts'
import { pods } from '../../src/kube/resources.ts'
import { trueNanos } from '../support/billing-oracle.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { runSpillway } from '../support/run-spillway.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod, webWith } from '../support/story-manifests.ts'

const namespace = 'story-bill'
const told = story(namespace)
const watched: { witness?: CriWitness } = {}
// Read off Tencent's page: the smallest sizes that hold 0.4 cores with 256 MiB at most, and 1 core with 1 GiB.
const sizes: Readonly<Record<string, { readonly cores: string; readonly gib: string }>> = {
  web: { cores: '0.5', gib: '1' },
  report: { cores: '1', gib: '1' },
  quick: { cores: '0.5', gib: '1' },
}
const prices = [{ fromMs: 0, core: '0.000004976', gib: '0.000002073' }]

beforeAll(() => {
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
})
afterAll(async () => await watched.witness?.close())

describe('spillway bill', () => {
  test('while Pods run, status tells what they cost an hour, by the published prices', async () => {
    const { api, signal, until } = told.current
    await api.create(deployments, webWith({ namespace, name: 'web' }, 3, { spec: outByHand }), signal)
    await until('3 Pods are ready', () => told.current.pods().filter(isReady).length === 3)
    const status = (await spillway('status')) as StatusView
    const own = status.pods.filter((pod) => pod.namespace === namespace)
    // 0.5 × 0.000004976 × 3600 + 1 × 0.000002073 × 3600
    expect(own.map(({ perHour }) => perHour)).toEqual(
      Array.from({ length: 3 }, () => ({ currency: 'USD', amount: '0.0164196' })),
    )
    // Of the whole cluster, in which other stories' Pods may still be ending.
    const [spend] = status.spendPerHour
    expect(nanos(spend?.amount ?? '')).toBeGreaterThanOrEqual(3n * nanos('0.0164196'))
  })

  test("agrees to the last nano-unit with containerd's own times, summed by other arithmetic", async () => {
    const { api, signal, until } = told.current
    await api.create(jobs, batchJob(namespace, 'burst'), signal)
    await api.create(pods, scriptPod({ namespace, name: 'quick' }, 'exit 3', outByHand), signal)
    await until('the Job has succeeded', () => phases('report').includes('Succeeded'))
    await until('the other task has failed', () => phases('quick').includes('Failed'))
    const ran = told.current
      .pods()
      .map(({ metadata }) => ({ uid: metadata?.uid ?? '', app: appOf(metadata?.labels) }))
    expect(ran).toHaveLength(5)
    await api.delete(deployments, { namespace, name: 'web' }, { propagation: 'Background' }, signal)
    await until('the web Pods are gone', () => phases('web').length === 0)
    const bill = await billBy('pod')
    const rows = bill.rows.filter((row) => row.namespace === namespace)
    expect(rows.some(({ open, estimated }) => open || estimated)).toBe(false)
    expect(Object.fromEntries(rows.map(({ podUid, amount }) => [podUid, nanos(amount)]))).toEqual(
      Object.fromEntries(ran.map(({ uid, app }) => [uid, owed(uid, app)])),
    )
  })

  test('says the same in every view, and the ledger verifies', async () => {
    const [byPod, byWorkload, byNamespace] = [
      await billBy('pod'),
      await billBy('workload'),
      await billBy('namespace'),
    ]
    const sum = (bill: Bill, workload?: string) =>
      bill.rows
        .filter((row) => row.namespace === namespace && (workload === undefined || row.workload === workload))
        .reduce((total, { amount }) => total + nanos(amount), 0n)
    const names = new Set(
      byPod.rows.filter((row) => row.namespace === namespace).map(({ workload }) => workload),
    )
    expect(names).toEqual(new Set(['Deployment/web', 'Job/report', 'Pod/quick']))
    for (const name of names) expect(sum(byWorkload, name)).toBe(sum(byPod, name))
    expect(sum(byNamespace)).toBe(sum(byPod))
    expect(sum(byPod)).toBeGreaterThan(0n)
    expect((await runSpillway('--name', told.current.cluster.name, 'ledger', 'verify')).code).toBe(0)
  })
})

/** What one Pod owes: from its sandbox's creation to its last container's end. */
function owed(uid: string, app: string): bigint {
  const { sandboxes = [], containers = [] } = watched.witness?.of(uid) ?? {}
  const size = sizes[app]
  const startMs = sandboxes[0]?.createdMs
  if (sandboxes.length !== 1 || startMs === undefined || !size)
    throw new Error(`${app}: ${sandboxes.length} sandboxes`)
  const ends = containers.map(({ finishedMs }) => finishedMs ?? Number.NaN)
  return trueNanos({ startMs, endMs: Math.max(...ends), held: [{ fromMs: startMs, ...size }] }, prices)
}

async function billBy(view: string): Promise<Bill> {
  return (await spillway('bill', '--by', view)) as Bill
}

async function spillway(...args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await runSpillway('--name', told.current.cluster.name, '--json', ...args)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return JSON.parse(stdout)
}

function phases(app: string): (string | undefined)[] {
  return told.current
    .pods()
    .filter(({ metadata }) => appOf(metadata?.labels) === app)
    .map(({ status }) => status?.phase)
}

function appOf(labels: Readonly<Record<string, string>> | undefined): string {
  return labels?.['app'] ?? ''
}

/** "0.5" is 500,000,000. */
function nanos(amount: string): bigint {
  const [whole = '', fraction = ''] = amount.split('.')
  return BigInt(whole + fraction.padEnd(9, '0'))
}
