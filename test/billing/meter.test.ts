import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openMeter, type LedgerMeter } from '../../src/billing/meter.ts'
import type { UsageInterval } from '../../src/billing/projection.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type {
  BackendPhase,
  ContainerObservation,
  ContainerRunState,
  PodObservation,
} from '../../src/model/pod-observation.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, fakeEpochMs } from '../support/fake-clock.ts'

const never = new AbortController().signal
const uid = asPodUid('uid-1')
const node = { pool: 'burst', node: 'burst-0', priceBook: 'tencent-eks-intl-2023-06-30' }

const pod: Pod = {
  metadata: {
    name: 'web-6f7b-x',
    namespace: 'shop',
    uid,
    labels: { 'pod-template-hash': '6f7b', team: 'red', other: 'no' },
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-6f7b', uid: 'rs', controller: true },
    ],
  },
  spec: { containers: [{ name: 'web', resources: { requests: { cpu: '1', memory: '2Gi' } } }] },
}

interface Seen {
  readonly phase?: BackendPhase
  readonly incarnation?: number
  readonly sandbox?: { id: string; createdAtMs: number; ready?: boolean }
  readonly state?: ContainerRunState
  readonly lastFinishedAtMs?: number
}

function observe(seen: Seen): PodObservation {
  const container: ContainerObservation = {
    name: 'web',
    kind: 'main',
    image: 'web:1',
    state: seen.state ?? { kind: 'running', startedAtMs: fakeEpochMs },
    restartCount: 0,
    started: true,
    ready: true,
    ...(seen.lastFinishedAtMs === undefined ? {} : { lastTerminated: ended(seen.lastFinishedAtMs) }),
  }
  return {
    uid,
    namespace: 'shop',
    name: 'web-6f7b-x',
    nodeName: 'burst-0',
    incarnation: seen.incarnation ?? 0,
    supervised: true,
    generation: 1,
    phase: seen.phase ?? 'running',
    ...(seen.sandbox ? { sandbox: { ready: true, podIps: [], ...seen.sandbox } } : {}),
    containers: [container],
  }
}

function ended(finishedAtMs: number): ContainerRunState & { kind: 'terminated' } {
  return { kind: 'terminated', exitCode: 0, reason: 'Completed', startedAtMs: fakeEpochMs, finishedAtMs }
}

const waiting: ContainerRunState = { kind: 'waiting', reason: 'ContainerCreating' }
const first = { id: 's0', createdAtMs: fakeEpochMs + 100 }

describe('the meter', () => {
  let folder: string
  let clock: FakeClock
  let ledger: LedgerStore
  let meter: LedgerMeter
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-meter-'))
    clock = new FakeClock()
    await start()
  })
  afterEach(async () => {
    expect((await verifyLedger(ledger, { nowMs: clock.wallMs() }, never)).problems).toEqual([])
    await ledger.close()
    await rm(folder, { recursive: true })
  })
  const start = async (books: readonly PriceBook[] = shippedPriceBooks): Promise<void> => {
    ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
    meter = await openMeter(
      {
        ledger,
        books,
        clusterUid: 'c1',
        clock,
        log: silentLog(),
        nodeFacts: () => node,
      },
      never,
    )
  }
  const restart = async (books?: readonly PriceBook[]): Promise<void> => {
    await ledger.close()
    await start(books)
  }
  const intervals = async (): Promise<readonly UsageInterval[]> =>
    (await ledger.history(uid, never)).intervals
  const kinds = async (): Promise<string[]> =>
    (await ledger.events({ afterSeq: 0, limit: 100 }, never)).map(({ event }) => event.fact.kind)

  it('bills from the creation of the sandbox to the end of the last container', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(20_000)
    await meter.stopping(observe({ sandbox: first }), never)
    await meter.record(
      pod,
      observe({ phase: 'stopped', sandbox: first, state: ended(fakeEpochMs + 10_100) }),
      never,
    )
    expect(await intervals()).toMatchObject([
      { startMs: fakeEpochMs + 100, endMs: fakeEpochMs + 10_100, confidence: 'exact' },
    ])
    const { rows } = await bill(
      ledger,
      { fromMs: fakeEpochMs, toMs: clock.wallMs(), by: 'workload', nowMs: clock.wallMs() },
      never,
    )
    expect(rows).toEqual([
      {
        namespace: 'shop',
        workload: 'Deployment/web',
        pods: 1,
        open: false,
        estimated: false,
        coreSeconds: '10',
        gibSeconds: '20',
        started: '2026-01-01T00:00:00.100Z',
        ended: '2026-01-01T00:00:10.100Z',
        gpuSeconds: '0',
        // 10 × (1 × 0.000004976 + 2 × 0.000002073)
        amount: '0.00009122',
        currency: 'USD',
        unpriced: [],
      },
    ])
  })

  it('writes each fact once, also across a restart', async () => {
    const life = async (): Promise<void> => {
      await meter.intent(pod, node, never)
      await meter.record(pod, observe({ sandbox: first }), never)
      await meter.stopping(observe({ sandbox: first }), never)
      await meter.stopping(observe({ sandbox: first }), never)
      const last = observe({ phase: 'stopped', sandbox: first, state: ended(fakeEpochMs + 900) })
      await meter.record(pod, last, never)
      await meter.record(undefined, last, never)
      await meter.voided(uid, 'deleted', never)
    }
    await life()
    const written = await kinds()
    expect(written).toEqual(['INTENT', 'OPENED', 'STOPPING', 'CLOSED'])
    await restart()
    await life()
    expect(await kinds()).toEqual(written)
  })

  it('tells of a heartbeat at most twice an interval, in the place of the one before', async () => {
    const seenMs = async () => (await intervals()).map(({ observedUntilMs }) => observedUntilMs - fakeEpochMs)
    await clock.advance(100)
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(29_000)
    await meter.record(pod, observe({ sandbox: first }), never)
    expect(await seenMs()).toEqual([100])
    await clock.advance(1_000)
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(1_000)
    await meter.record(pod, observe({ sandbox: first }), never)
    expect(await seenMs()).toEqual([30_100])
    expect(await kinds()).toEqual(['INTENT', 'OPENED'])
  })

  it('does not read a Pod anew for its heartbeats, and does for all else', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(31_000)
    const read = vi.spyOn(ledger, 'history')
    await meter.record(pod, observe({ sandbox: first }), never)
    expect(read).toHaveBeenCalledTimes(1)
    for (const _minute of [1, 2, 3]) {
      await clock.advance(60_000)
      await meter.record(pod, observe({ sandbox: first }), never)
    }
    expect(read).toHaveBeenCalledTimes(1)
    await meter.stopping(observe({ sandbox: first }), never)
    await meter.closeLost(uid, never)
    expect(read).toHaveBeenCalledTimes(2)
    expect(await intervals()).toMatchObject([{ endMs: fakeEpochMs + 211_000, confidence: 'estimated' }])
  })

  it('reads nothing before a Pod that is new to it is let in, and all of one that was let in before', async () => {
    const read = vi.spyOn(ledger, 'history')
    await meter.intent(pod, node, never)
    expect(read).not.toHaveBeenCalled()
    await meter.record(pod, observe({ sandbox: first }), never)
    await restart()
    await clock.advance(60_000)
    // Whatever it would be billed by today.
    await meter.intent(pod, { ...node, priceBook: 'gone' }, never)
    expect(await kinds()).toEqual(['INTENT', 'OPENED', 'CLOSED'])
    await meter.intent(pod, node, never)
    expect(await kinds()).toEqual(['INTENT', 'OPENED', 'CLOSED'])
  })

  it('closes a Job at its own end, while its object is still there', async () => {
    await meter.intent(pod, node, never)
    await meter.record(
      pod,
      observe({ phase: 'stopped', sandbox: first, state: ended(fakeEpochMs + 5_000) }),
      never,
    )
    await clock.advance(3_600_000)
    await meter.stopping(observe({ sandbox: first }), never)
    expect(await intervals()).toMatchObject([{ endMs: fakeEpochMs + 5_000, confidence: 'exact' }])
  })

  it('bills to the durable request to stop when no container ever ran', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ phase: 'starting', sandbox: first, state: waiting }), never)
    await clock.advance(7_000)
    await meter.stopping(observe({ sandbox: first }), never)
    await restart()
    await clock.advance(9_000)
    await meter.record(pod, observe({ phase: 'stopped', sandbox: first, state: waiting }), never)
    expect(await intervals()).toMatchObject([{ endMs: fakeEpochMs + 7_000, confidence: 'recorded' }])
  })

  it('closes a replaced sandbox at its containers’ end and opens the next', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ sandbox: first }), never)
    const second = { id: 's1', createdAtMs: fakeEpochMs + 30_000 }
    await clock.advance(31_000)
    await meter.record(
      pod,
      observe({ incarnation: 1, sandbox: second, lastFinishedAtMs: fakeEpochMs + 20_000 }),
      never,
    )
    expect(await intervals()).toMatchObject([
      { incarnation: 0, endMs: fakeEpochMs + 20_000, confidence: 'exact' },
      { incarnation: 1, startMs: fakeEpochMs + 30_000, endMs: undefined },
    ])
  })

  it('closes a replaced sandbox anew when the end of its containers is told after the next one', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ sandbox: first }), never)
    const second = { id: 's1', createdAtMs: fakeEpochMs + 30_000 }
    await clock.advance(31_000)
    await meter.record(pod, observe({ incarnation: 1, sandbox: second }), never)
    expect(await intervals()).toMatchObject([{ confidence: 'estimated' }, { endMs: undefined }])
    const told = observe({ incarnation: 1, sandbox: second, lastFinishedAtMs: fakeEpochMs + 20_000 })
    await meter.record(pod, told, never)
    expect(await intervals()).toMatchObject([
      { incarnation: 0, endMs: fakeEpochMs + 20_000, confidence: 'exact' },
      { incarnation: 1, startMs: fakeEpochMs + 30_000, endMs: undefined },
    ])
    const { length } = await kinds()
    // Not once more, nor by what ended in the next sandbox.
    await meter.record(pod, told, never)
    await restart()
    const later = observe({ incarnation: 1, sandbox: second, lastFinishedAtMs: fakeEpochMs + 30_500 })
    await meter.record(pod, later, never)
    expect(await kinds()).toHaveLength(length)
  })

  it('does not know the end of one when nobody saw the next, in which its containers may have run', async () => {
    await meter.record(pod, observe({ sandbox: first }), never)
    const third = { id: 's2', createdAtMs: fakeEpochMs + 30_000 }
    const late = observe({ incarnation: 2, sandbox: third, lastFinishedAtMs: fakeEpochMs + 20_000 })
    const containers = late.containers.map((container) => ({
      ...container,
      ...(container.lastTerminated && {
        lastTerminated: { ...container.lastTerminated, startedAtMs: fakeEpochMs + 10_000 },
      }),
    }))
    await clock.advance(31_000)
    await meter.record(pod, { ...late, containers }, never)
    expect(await intervals()).toMatchObject([
      { incarnation: 0, endMs: fakeEpochMs + 100, confidence: 'estimated' },
      { incarnation: 2, startMs: fakeEpochMs + 30_000, endMs: undefined },
    ])
  })

  it('bills a size that was under way from the sandbox that begins at it, when the one before was lost', async () => {
    await meter.intent(pod, node, never)
    const nothingRan = { sandbox: first, state: waiting }
    await meter.record(pod, observe(nothingRan), never)
    const resources = { requests: { cpu: '4', memory: '8Gi' } }
    const larger = {
      metadata: { ...pod.metadata, generation: 2 },
      spec: { containers: [{ name: 'web', resources }] },
    }
    await clock.advance(20_000)
    await meter.resizing(larger, observe(nothingRan), never)
    await clock.advance(20_000)
    await meter.intent(larger, node, never)
    const second = { id: 's1', createdAtMs: fakeEpochMs + 40_000 }
    const allocation = {
      generation: 2,
      resources: { containers: { web: resources } },
      inEffectAtMs: second.createdAtMs,
    }
    await meter.record(larger, { ...observe({ sandbox: second }), generation: 2, allocation }, never)
    const { resizes } = await ledger.history(uid, never)
    expect(resizes).toMatchObject([{ generation: 2, state: 'done', fromMs: second.createdAtMs }])
  })

  it('does not take an earlier sandbox’s end for the end of one in which nothing ran', async () => {
    const second = { id: 's1', createdAtMs: fakeEpochMs + 30_000 }
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(40_000)
    await meter.record(
      pod,
      observe({
        phase: 'stopped',
        incarnation: 1,
        sandbox: second,
        state: waiting,
        lastFinishedAtMs: fakeEpochMs + 20_000,
      }),
      never,
    )
    expect(await intervals()).toMatchObject([
      { endMs: fakeEpochMs + 20_000, confidence: 'exact' },
      { startMs: fakeEpochMs + 30_000, endMs: fakeEpochMs + 40_000, confidence: 'recorded' },
    ])
  })

  it('closes what the backend lost at the last time it was seen, and bills its successor by itself', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(60_100)
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(30_000)
    await meter.closeLost(uid, never)
    // The backend has no trace of the first sandbox, so it counts from 0 again.
    await meter.intent(pod, node, never)
    await meter.record(
      pod,
      observe({ incarnation: 0, sandbox: { id: 's9', createdAtMs: clock.wallMs() } }),
      never,
    )
    expect(await intervals()).toMatchObject([
      { incarnation: 0, endMs: fakeEpochMs + 60_100, confidence: 'estimated' },
      { incarnation: 1, sandboxId: 's9', startMs: fakeEpochMs + 90_100, endMs: undefined },
    ])
  })

  it('bills what was lost before anything ran in it to no end of what came after, should nobody see that', async () => {
    await meter.record(pod, observe({ sandbox: first, state: waiting }), never)
    await clock.advance(300_000)
    await meter.intent(pod, node, never)
    const ran = { kind: 'terminated', exitCode: 0, reason: 'Error' } as const
    const [startedAtMs, finishedAtMs] = [fakeEpochMs + 300_200, fakeEpochMs + 300_900]
    const third = { ...first, id: 's9', createdAtMs: fakeEpochMs + 301_000 }
    const state = { ...ran, startedAtMs, finishedAtMs }
    await clock.advance(2_000)
    // The backend counts anew from 0: the second of its own.
    await meter.record(pod, { ...observe({ sandbox: third, state }), incarnation: 1 }, never)
    expect(await intervals()).toMatchObject([
      { incarnation: 0, endMs: first.createdAtMs, confidence: 'estimated' },
      { incarnation: 1, sandboxId: 's9', endMs: undefined },
    ])
  })

  it('bills nothing for a sandbox that is dead when it is seen first, and in which nothing ran', async () => {
    await meter.intent(pod, node, never)
    const revived = { ...first, ready: false }
    await meter.record(pod, observe({ phase: 'starting', sandbox: revived, state: waiting }), never)
    await clock.advance(300_000)
    await meter.record(pod, observe({ phase: 'stopped', sandbox: revived, state: waiting }), never)
    expect(await intervals()).toEqual([])
  })

  it('does not move the end of what was lost to the time at which it turned up dead', async () => {
    const revived = { ...first, ready: false }
    await meter.record(pod, observe({ sandbox: first, state: waiting }), never)
    await clock.advance(10_000)
    await meter.closeLost(uid, never)
    const before = await intervals()
    await clock.advance(300_000)
    await meter.record(pod, observe({ phase: 'starting', sandbox: revived, state: waiting }), never)
    await meter.record(pod, observe({ phase: 'stopped', sandbox: revived, state: waiting }), never)
    expect(await intervals()).toEqual(before)
  })

  it('does not take a dead sandbox for one that is held', async () => {
    await meter.record(pod, observe({ sandbox: first, state: waiting }), never)
    const [{ observedUntilMs } = {}] = await intervals()
    await clock.advance(120_000)
    const dead = { ...first, ready: false }
    await meter.record(pod, observe({ phase: 'starting', sandbox: dead, state: waiting }), never)
    expect(await intervals()).toMatchObject([{ observedUntilMs }])
  })

  it('prefers the backend’s own end to an estimate that was made before it was heard', async () => {
    await meter.record(pod, observe({ sandbox: first }), never)
    await meter.closeLost(uid, never)
    await meter.record(
      pod,
      observe({ phase: 'stopped', sandbox: first, state: ended(fakeEpochMs + 4_000) }),
      never,
    )
    expect(await intervals()).toMatchObject([{ endMs: fakeEpochMs + 4_000, confidence: 'exact' }])
  })

  it('voids what never started, and bills it after all when a sandbox turns up', async () => {
    await meter.intent(pod, node, never)
    await meter.voided(uid, 'deleted before it started', never)
    expect(await ledger.history(uid, never)).toMatchObject({ voided: true, intervals: [] })
    await meter.record(pod, observe({ sandbox: first }), never)
    expect(await ledger.history(uid, never)).toMatchObject({
      voided: false,
      intervals: [{ startMs: first.createdAtMs }],
    })
  })

  it('closes as lost instead of voiding when the ledger knows that something was held', async () => {
    await meter.record(pod, observe({ sandbox: first }), never)
    await meter.voided(uid, 'deleted before it started', never)
    expect(await intervals()).toMatchObject([{ confidence: 'estimated' }])
  })

  it('does not void a Pod that nobody intended', async () => {
    await meter.voided(uid, 'never seen', never)
    expect(await kinds()).toEqual([])
  })

  it('opens a sandbox of ours without a Pod, and prices it once the Pod is known', async () => {
    await meter.record(undefined, observe({ sandbox: first }), never)
    expect(await intervals()).toMatchObject([
      { pod: undefined, unknownPod: { namespace: 'shop' }, segments: [] },
    ])
    const query = {
      fromMs: fakeEpochMs,
      toMs: fakeEpochMs + 1,
      by: 'namespace',
      nowMs: fakeEpochMs + 1_100,
    } as const
    expect((await bill(ledger, query, never)).rows).toMatchObject([
      { namespace: 'shop', unpriced: ['cpu', 'memory'], amount: '0' },
    ])
    await meter.record(pod, observe({ sandbox: first }), never)
    expect((await bill(ledger, query, never)).rows).toMatchObject([
      { namespace: 'shop', unpriced: [], open: true, coreSeconds: '1' },
    ])
  })

  it('bills as before when somebody sets the clock back, or ahead', async () => {
    await meter.intent(pod, node, never)
    const starting = observe({ phase: 'starting', sandbox: first, state: waiting })
    await meter.record(pod, starting, never)
    clock.stepWall(-3_600_000)
    await clock.advance(40_000)
    await meter.record(pod, starting, never)
    expect(await intervals()).toMatchObject([{ observedUntilMs: fakeEpochMs + 40_000 }])
    clock.stepWall(7_200_000)
    await clock.advance(2_000)
    await meter.stopping(starting, never)
    await meter.record(pod, observe({ phase: 'stopped', sandbox: first, state: waiting }), never)
    expect(await intervals()).toMatchObject([
      { startMs: fakeEpochMs + 100, endMs: fakeEpochMs + 42_000, confidence: 'recorded' },
    ])
  })

  it('says that it does not know, and never less than nothing, when the clock of both goes back', async () => {
    await meter.intent(pod, node, never)
    const running = observe({ sandbox: first, state: { kind: 'running', startedAtMs: fakeEpochMs + 200 } })
    await meter.record(pod, running, never)
    for (let look = 0; look < 4; look += 1) {
      await clock.advance(30_000)
      if (look === 1) clock.stepWall(-3_600_000)
      await meter.record(pod, running, never)
    }
    const early = ended(fakeEpochMs + 121_000 - 3_600_000)
    await meter.record(pod, observe({ phase: 'stopped', sandbox: first, state: early }), never)
    expect(await intervals()).toMatchObject([
      {
        startMs: fakeEpochMs + 100,
        endMs: fakeEpochMs + 120_000,
        confidence: 'estimated',
        closeReason: "the backend's clock was set back while it ran; last seen then",
      },
    ])
  })

  it('says so too when it was set back while nobody looked', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(31_000)
    await meter.record(pod, observe({ sandbox: first }), never)
    clock.stepWall(-3_600_000)
    await restart()
    const early = ended(fakeEpochMs + 32_000 - 3_600_000)
    await meter.record(pod, observe({ phase: 'stopped', sandbox: first, state: early }), never)
    expect(await intervals()).toMatchObject([{ endMs: fakeEpochMs + 31_000, confidence: 'estimated' }])
  })

  it('believes a clock that was set before the Pod came', async () => {
    clock.stepWall(-3_600_000)
    await meter.intent(pod, node, never)
    const late = { id: 's0', createdAtMs: clock.wallMs() }
    await meter.record(pod, observe({ phase: 'starting', sandbox: late, state: waiting }), never)
    await clock.advance(5_000)
    await meter.stopping(observe({ sandbox: late, state: waiting }), never)
    await meter.record(pod, observe({ phase: 'stopped', sandbox: late, state: waiting }), never)
    expect(await intervals()).toMatchObject([{ endMs: late.createdAtMs + 5_000, confidence: 'recorded' }])
  })

  it('writes down the end of the sandbox that is there, also when the ledger has yet to hear of it', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ sandbox: first }), never)
    await clock.advance(5_000)
    const next = { incarnation: 1, sandbox: { id: 's1', createdAtMs: fakeEpochMs + 4_000 } }
    await meter.stopping(observe({ ...next, state: waiting }), never)
    await clock.advance(30_000)
    await meter.record(pod, observe({ ...next, phase: 'stopped', state: waiting }), never)
    expect((await intervals())[1]).toMatchObject({ endMs: fakeEpochMs + 5_000, confidence: 'recorded' })
  })

  it('ends nothing by late news of a sandbox that was replaced', async () => {
    await meter.intent(pod, node, never)
    await meter.record(pod, observe({ sandbox: first }), never)
    const next = { id: 's1', createdAtMs: fakeEpochMs + 4_000 }
    await meter.record(pod, observe({ incarnation: 1, sandbox: next }), never)
    await meter.record(pod, observe({ sandbox: first }), never)
    expect((await intervals())[1]).toMatchObject({ startMs: fakeEpochMs + 4_000, endMs: undefined })
  })

  it('keeps names, workload and the labels that bills group by', async () => {
    await meter.intent(pod, node, never)
    expect((await ledger.history(uid, never)).pod).toEqual({
      clusterUid: 'c1',
      uid,
      namespace: 'shop',
      name: 'web-6f7b-x',
      workload: { kind: 'Deployment', name: 'web' },
      pool: 'burst',
      node: 'burst-0',
      labels: { team: 'red' },
    })
  })

  it('bills 1:1 what no size of the book holds', async () => {
    const huge = structuredClone(pod)
    huge.spec!.containers[0]!.resources = { requests: { cpu: '20', memory: '1Gi' } }
    await meter.intent(huge, node, never)
    const { terms } = await ledger.history(uid, never)
    expect(terms?.spec).toMatchObject({ cpuMillis: 20_000n, memoryMiB: 1024n })
    expect(terms?.steps.at(-1)).toContain('billed at what it asks for')
  })

  it('says which price books there are when a node names another', async () => {
    await expect(meter.intent(pod, { ...node, priceBook: 'free' }, never)).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringContaining('flat-demo'),
    })
  })

  it('rejects with LedgerUnavailable when the ledger cannot be written, and goes on later', async () => {
    await ledger.close()
    await expect(meter.intent(pod, node, never)).rejects.toMatchObject({ code: 'LedgerUnavailable' })
    await start()
    await meter.intent(pod, node, never)
    expect(await kinds()).toEqual(['INTENT'])
  })

  describe('of price books', () => {
    const ours: PriceBook = { ...flatDemo, id: 'ours' }
    const dearer: PriceBook = { ...ours, currency: 'EUR' }
    const there = { ...node, priceBook: 'ours' }

    it('keeps those that were billed by, and lets the others change', async () => {
      await restart([ours])
      expect(await ledger.priceBooks(never)).toEqual([])
      await restart([dearer])
      await meter.intent(pod, there, never)
      expect(await ledger.priceBooks(never)).toEqual([dearer])
      await restart([dearer])
    })

    it('refuses one that has changed since it was billed by, and says in what', async () => {
      await restart([ours, flatDemo])
      await meter.intent(pod, there, never)
      await expect(restart([dearer, flatDemo])).rejects.toMatchObject({
        code: 'Rejected',
        message: expect.stringContaining('price book "ours" differs'),
      })
      await restart([{ ...ours, notes: ['in other words'] }])
    })

    it('goes on by one that nobody configures any more', async () => {
      await restart([ours])
      await meter.intent(pod, there, never)
      await restart([flatDemo])
      const resources = { requests: { cpu: '2', memory: '2Gi' } }
      const larger: Pod = {
        metadata: { ...pod.metadata, generation: 2 },
        spec: { containers: [{ name: 'web', resources }] },
      }
      await meter.resizing(larger, observe({ sandbox: first }), never)
      const { resizes } = await ledger.history(uid, never)
      expect(resizes[0]?.terms).toMatchObject({ priceBook: 'ours', spec: { cpuMillis: 2000n } })
    })
  })

  describe('of what is bought', () => {
    const asked = (annotations: Record<string, string>, more: Partial<Pod['metadata']> = {}): Pod => ({
      ...pod,
      metadata: { ...pod.metadata, ...more, annotations },
    })
    const bought = async (): Promise<unknown> => (await ledger.history(uid, never)).terms?.spec.purchase

    it('writes down that it is spot, by the Pod’s word or else the pool’s', async () => {
      await meter.intent(asked({ 'spillway.dev/purchase': 'spot' }), node, never)
      expect(await bought()).toBe('spot')
      await restart()
      expect(await bought()).toBe('spot')
    })

    it('goes by the pool where the Pod says nothing, and not where it does', async () => {
      const spotPool = { ...node, purchase: 'spot' } as const
      await meter.intent(asked({ 'spillway.dev/purchase': 'on-demand' }), spotPool, never)
      expect(await bought()).toBeUndefined()
      const other = asPodUid('other')
      await meter.intent(asked({}, { uid: other }), spotPool, never)
      expect((await ledger.history(other, never)).terms).toMatchObject({
        spec: { purchase: 'spot' },
        steps: expect.arrayContaining(['bought as spot, as its pool has it']),
      })
    })

    it('stays as it was when a Pod that runs says something else', async () => {
      const amd = { 'eks.tke.cloud.tencent.com/cpu-type': 'amd' }
      await meter.intent(asked(amd), node, never)
      const larger = asked({ 'spillway.dev/purchase': 'spot' }, { generation: 2 })
      const resources = { requests: { cpu: '2', memory: '2Gi' } }
      const resized = { ...larger, spec: { containers: [{ name: 'web', resources }] } }
      await meter.resizing(resized, observe({ sandbox: first }), never)
      const { resizes } = await ledger.history(uid, never)
      expect(resizes[0]?.terms.spec).toEqual({
        cpuMillis: 2000n,
        memoryMiB: 2048n,
        gpus: 0n,
        cpuType: 'AMD',
      })
    })
  })
})
