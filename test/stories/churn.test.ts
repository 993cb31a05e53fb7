/**
 * Pods that come and go while Spillway and containerd are killed under them: each is billed by the times that containerd
 * itself kept, to the millisecond, and all of them together are the bill before it is rounded.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Bill } from '../../src/billing/invoice.ts'
import { pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import { hasCode } from '../../src/model/errors.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { runSpillway } from '../support/run-spillway.ts'
import { storyHandler } from '../support/shared-cluster.ts'
import { backendsReady, killSpillway, startSpillway } from '../support/spillway-process.ts'
import { story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'
import { readBill, trueIntervals } from '../support/true-times.ts'

const namespace = 'story-churn'
const told = story(namespace)
const count = Number(process.env['SPILLWAY_CHURN_PODS'] ?? 24)
const kills = Number(process.env['SPILLWAY_CHURN_KILLS'] ?? 2)
const atOnce = Math.min(32, Math.max(16, Math.floor(count / 6)))
// Half a core and one GiB by the Tencent book, 0.5 × 0.000004976 + 1 × 0.000002073 a second: in 10^-12 a millisecond.
const picoDollarsPerMs = 4561n
// While nodes come and go the scheduler tries a Pod again only every ten seconds, and may meet a dead one each time.
const patienceMs = 300_000
// A sandbox in which nothing ran has no time of containerd's for its end: it is billed to our own record. One of gVisor's may be
// dead, too, after containerd was killed while it made it, and be replaced: then it is billed to when it was last seen.
const endsOfUnused = storyHandler === 'runc' ? ['recorded'] : ['recorded', 'estimated']
const watched: { witness?: CriWitness } = {}
/** Every Pod that the API server took, by UID. */
const made = new Map<string, string>()

beforeAll(() => {
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
})
afterAll(async () => await watched.witness?.close())
afterEach(async () => {
  await told.current.running.startComponent('containerd-virtual', told.current.signal)
  await startSpillway(told.current)
})

/** What becomes of the n-th Pod, all kinds in turn; `deleteAfterMs` counts from when it runs. */
const kinds = [
  { script: 'sleep 1', spec: {} },
  { script: 'trap "exit 0" TERM; while true; do sleep 0.1; done', spec: {}, deleteAfterMs: 1_000 },
  { script: 'exit 3', spec: {} },
  { script: 'exec sleep 3600', spec: {}, deleteBefore: 'it runs' },
  { script: 'sleep 1; exit 1', spec: { restartPolicy: 'OnFailure' }, deleteAfterMs: 5_000 },
  { script: 'sleep 6', spec: {}, deleteAfterMs: 100 },
] as const

test(`${count} Pods, ${kills} kills of Spillway and of containerd each`, { timeout: 540_000 }, async () => {
  const { until } = told.current
  const end = new AbortController()
  const killing = killInTurn(end.signal)
  const queue = Array.from({ length: count }, (_, index) => index)
  await Promise.all(Array.from({ length: atOnce }, () => live(queue)))
  end.abort()
  const killed = await killing
  await until('no Pod is left', () => told.current.pods().length === 0, patienceMs)
  await until(
    'containerd has no sandbox of them',
    async () => (await watched.witness?.present(namespace))?.length === 0,
    180_000,
  )
  await expectBilled(killed)
})

async function expectBilled(killed: { readonly spillway: number; readonly containerd: number }) {
  const bill = await readBill(told.current)
  const billed = billedIntervals(bill)
  let neverRan = 0
  let unseen = 0
  let totalMs = 0n
  for (const [uid, name] of made) {
    const own = billed.filter(({ podUid }) => podUid === uid)
    totalMs += own.reduce((sum, { startMs, endMs }) => sum + BigInt(endMs - startMs), 0n)
    const witnessed = watched.witness?.of(uid) ?? { sandboxes: [], containers: [] }
    // Ended and removed while containerd was down for the witness, too: it cannot say when.
    if (witnessed.containers.some(({ state }) => state === 'CONTAINER_RUNNING')) {
      unseen += 1
      continue
    }
    const ran = trueIntervals(witnessed)
    const exact = own.filter(({ endKnown }) => endKnown === 'exact')
    expect(
      exact.map(({ startMs, endMs }) => ({ startMs, endMs })),
      JSON.stringify({ uid, name, witnessed, own }),
    ).toEqual(ran)
    expect(
      own.filter(({ endKnown }) => endKnown !== 'exact' && !endsOfUnused.includes(endKnown)),
      name,
    ).toEqual([])
    neverRan += own.length - exact.length
  }
  expect(unseen).toBeLessThanOrEqual(count / 10)
  const exactTotal = sumExact(bill)
  expect(exactTotal.num * 1_000_000_000_000n).toBe(totalMs * picoDollarsPerMs * exactTotal.den)
  for (const claim of ['verify', 'reconcile']) {
    const { code, stdout } = await runSpillway('--name', told.current.cluster.name, 'ledger', claim)
    expect({ claim, code, stdout }).toMatchObject({ code: 0 })
  }
  const intervals = billed.filter(({ podUid }) => made.has(podUid)).length
  // Of six kinds only one may come to nothing.
  expect(intervals - neverRan).toBeGreaterThanOrEqual(Math.floor((count * 5) / 6))
  process.stdout.write(
    `churn: ${made.size} Pods, ${intervals} sandboxes billed (${neverRan} in which nothing ran; the witness missed the end of ${unseen}), Spillway killed ` +
      `${killed.spillway} times, containerd ${killed.containerd}; 0 ms off containerd's own times; ` +
      `${totalMs} ms in all, which are the bill before rounding\n`,
  )
}

interface BilledInterval {
  readonly podUid: string
  readonly startMs: number
  readonly endMs: number
  readonly endKnown: string
}

function billedIntervals({ pods: explained = [] }: Bill): BilledInterval[] {
  return explained.map(({ podUid, start, end, endKnown }) => ({
    podUid,
    startMs: Date.parse(start),
    endMs: Date.parse(end ?? ''),
    endKnown,
  }))
}

/** Of this story's Pods, added up without rounding. */
function sumExact({ pods: explained = [] }: Bill): { readonly num: bigint; readonly den: bigint } {
  let sum = { num: 0n, den: 1n }
  for (const { lines } of explained.filter(({ podUid }) => made.has(podUid))) {
    for (const { exact } of lines) {
      const [num = '', den = ''] = exact.split('/')
      sum = { num: sum.num * BigInt(den) + BigInt(num) * sum.den, den: sum.den * BigInt(den) }
    }
  }
  return sum
}

/** One Pod after the other, from its making until its object is gone. */
async function live(queue: number[]): Promise<void> {
  const { api, pod, signal, until } = told.current
  for (let index = queue.shift(); index !== undefined; index = queue.shift()) {
    const kind = kinds[index % kinds.length] ?? kinds[0]
    const name = `churn-${index}`
    const created = await api.create(
      pods,
      scriptPod({ namespace, name }, kind.script, { ...outByHand, ...kind.spec }),
      signal,
    )
    made.set(created.metadata?.uid ?? '', name)
    const phase = (): string => pod(name)?.status?.phase ?? 'Pending'
    if ('deleteAfterMs' in kind) {
      await until(`${name} runs`, () => phase() !== 'Pending', patienceMs)
      await systemClock.sleep(kind.deleteAfterMs, signal)
    } else if (!('deleteBefore' in kind)) {
      await until(`${name} is over`, () => ['Succeeded', 'Failed'].includes(phase()), patienceMs)
    }
    await remove(name)
    await until(`${name} is gone`, () => pod(name) === undefined, patienceMs)
  }
}

async function remove(name: string): Promise<void> {
  const { api, signal } = told.current
  try {
    await api.delete(pods, { namespace, name }, {}, signal)
  } catch (error) {
    if (!hasCode(error, 'NotFound')) throw error
  }
}

/** Spillway, then containerd, until so many of both or the signal. Each is up again before the next is killed. */
async function killInTurn(
  signal: AbortSignal,
): Promise<{ readonly spillway: number; readonly containerd: number }> {
  const { running, until } = told.current
  const killed = { spillway: 0, containerd: 0 }
  const pause = async (): Promise<void> => {
    await systemClock.sleep(2_500, signal).catch(() => undefined)
  }
  for (let round = 0; round < kills; round += 1) {
    await pause()
    await killSpillway(told.current)
    killed.spillway += 1
    await startSpillway(told.current)
    await pause()
    await running.killComponent('containerd-virtual', told.current.signal)
    killed.containerd += 1
    await running.startComponent('containerd-virtual', told.current.signal)
    await until('the nodes are well', async () => await backendsReady(told.current))
  }
  return killed
}
