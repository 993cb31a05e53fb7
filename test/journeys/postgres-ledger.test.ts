/**
 * The whole of Spillway with its ledger on a PostgreSQL server: what is billed, what happens while that server is dead,
 * and who goes on when a second Spillway takes over.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Bill } from '../../src/billing/invoice.ts'
import type { UsageInterval } from '../../src/billing/projection.ts'
import { runCli } from '../../src/cli/program.ts'
import { events, nodes, pods } from '../../src/kube/resources.ts'
import { parseTimeMs, systemClock } from '../../src/model/clock.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { ledgerReadyCondition, ledgerUnavailableTaintKey } from '../../src/model/words.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { openLedger } from '../support/open-ledger.ts'
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts'
import { SecondSpillway } from '../support/second-spillway.ts'
import { until } from '../support/until.ts'

const namespace = 'shop'
const ending = new AbortController()
const { signal } = ending
let server: PostgresServer
let url: string
let journey: JourneyApp

beforeAll(async () => {
  server = await startPostgres()
  url = server.ledgerUrl('journey')
  journey = await JourneyApp.start(
    {
      clusterName: 'on-postgres',
      backends: [{ name: 'local', kind: 'simulator', options: { sandboxMs: 10, pullMs: 10, startMs: 10 } }],
      pools: [
        {
          name: 'burst',
          backend: 'local',
          priceBook: 'flat-demo',
          budget: { currency: 'USD', perMonth: '1000' },
        },
      ],
      more: { ledger: { postgres: { url } } },
    },
    signal,
  )
  await createNamespace(journey.api, { name: namespace }, signal)
  await untilNodeTakesPods()
})

afterAll(async () => {
  ending.abort()
  await journey?.[Symbol.asyncDispose]()
  await server?.destroy()
})

describe('a ledger on PostgreSQL', () => {
  test('bills what ran, as the SQLite one does, and holds every claim about itself', async () => {
    await create('task', { runsMs: 1500 })
    await untilPhase('task', 'Succeeded')
    const { status } = await get('task')
    const interval = await intervalOf('task')
    expect(interval).toMatchObject({ confidence: 'exact', pod: { namespace, pool: 'burst' } })
    const { finishedAt } = status?.containerStatuses?.[0]?.state?.terminated ?? {}
    expect(Math.floor((interval.endMs ?? 0) / 1000)).toBe(parseTimeMs(finishedAt ?? '') / 1000)
    const seconds = ((interval.endMs ?? 0) - interval.startMs) / 1000
    expect(seconds).toBeGreaterThanOrEqual(1.5)
    const told = await spillway('bill', '--by', 'pod', '--json')
    const row = (JSON.parse(told.stdout) as Bill).rows.find(({ pod }) => pod === 'task')
    // flat-demo: 0.04 a core-hour, 0.005 a GiB-hour; a core and two GiB.
    expect(Number(row?.amount)).toBeCloseTo((seconds * (0.04 + 2 * 0.005)) / 3600, 7)
    await verify()
  })

  test('gives status and budgets what they tell', async () => {
    await create('long', {})
    await untilPhase('long', 'Running')
    await until(
      'its price is told',
      async () => /^shop +long +burst-0 .*0\.05/m.test((await spillway('status')).stdout),
      signal,
    )
    const budget = await spillway('budget')
    expect(budget).toMatchObject({ code: 0, stdout: expect.stringMatching(/VirtualNodePool burst +month/) })
    await remove('long')
  })
})

describe('while the PostgreSQL server is dead', () => {
  let killedMs: number
  beforeAll(async () => {
    await create('stays', {})
    await create('ends', { runsMs: 4000 })
    await create('leaves', {})
    for (const name of ['stays', 'ends', 'leaves']) await untilPhase(name, 'Running')
    await until('all are billed', async () => (await openPods()).length === 3, signal)
    await server.kill()
    killedMs = systemClock.wallMs()
  })

  test('what runs goes on, what ends is told, and what is deleted goes', async () => {
    await untilPhase('ends', 'Succeeded')
    await remove('leaves')
    expect((await get('stays')).status?.phase).toBe('Running')
    const { stdout, code } = await spillway('status')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^shop +stays +burst-0 +Ready/m)
    expect(stdout).toMatch(/^Spend per hour now: not known: PostgreSQL ledger "journey": /m)
  })

  test('nothing new starts, and the Pod is told why', async () => {
    await create('waits', {})
    await until(
      'an event says why',
      async () => {
        const { items } = await journey.api.list(events, { namespace }, signal)
        return items.some(
          ({ involvedObject, reason }) => involvedObject.name === 'waits' && reason === 'LedgerUnavailable',
        )
      },
      signal,
    )
    const { status } = await get('waits')
    expect([status?.phase, status?.containerStatuses]).toEqual(['Pending', undefined])
  })

  test('the node says so, and takes nothing new from the scheduler', async () => {
    await until('it says so', async () => (await ledgerCondition()) === 'False LedgerUnavailable', signal)
    const isTainted = async (): Promise<boolean> => {
      const { spec } = await journey.api.get(nodes, { name: 'burst-0' }, signal)
      return spec?.taints?.some(({ key }) => key === ledgerUnavailableTaintKey) ?? false
    }
    await until('it is tainted', isTainted, signal)
  })

  test('and nothing is lost: once it is back, the ledger has all of it with the backend’s own times', async () => {
    const backMs = systemClock.wallMs()
    await server.start()
    await untilPhase('waits', 'Running')
    await until('what ended is closed', async () => (await openPods()).join() === 'stays,waits', signal)
    await until(
      'the node says so',
      async () => (await ledgerCondition())?.startsWith('False') === false,
      signal,
    )
    for (const name of ['ends', 'leaves']) {
      const { confidence, endMs = 0 } = await intervalOf(name)
      expect({ name, confidence }).toEqual({ name, confidence: 'exact' })
      // Not when it could be written again.
      expect(endMs).toBeGreaterThan(killedMs)
      expect(endMs).toBeLessThan(backMs)
    }
    const waits = await intervalOf('waits')
    expect(waits.startMs).toBeGreaterThan(backMs)
    await verify()
    for (const name of ['stays', 'waits']) await remove(name)
  })
})

describe('a second Spillway', () => {
  let first: SecondSpillway
  const others: SecondSpillway[] = []
  const begin = async (name: string): Promise<SecondSpillway> => {
    const other = await SecondSpillway.begin(name, journey)
    others.push(other)
    return other
  }
  beforeAll(async () => {
    await journey.end()
    first = await begin('first')
    await untilNodeTakesPods()
    await create('service', {})
    await untilPhase('service', 'Running')
    await until('it is billed', async () => (await openPods()).length === 1, signal)
  })
  afterAll(async () => {
    for (const other of others) await other.kill(new AbortController().signal)
  })

  test('is refused while the first one lives', async () => {
    const second = await begin('second')
    expect(await second.exitCode(signal)).toBe(1)
    expect(second.told).toMatch(/another Spillway \(host .*, process \d+\) writes this ledger/)
  })

  test('takes over from one that stands still, and that one writes nothing more and ends', async () => {
    first.send('SIGSTOP')
    const stoppedMs = systemClock.wallMs()
    await takeOver()
    first.send('SIGCONT')
    expect(await first.exitCode(signal)).toBe(1)
    expect(first.told).toMatch(/another Spillway \(host .*\) has taken over this ledger/)
    // The sandbox is gone with the first: it is billed until it was last seen, and the Pod gets another.
    await until('another is billed', async () => (await intervalsOf('service')).length === 2, signal)
    await untilPhase('service', 'Running')
    const [lost, anew] = await intervalsOf('service')
    expect(lost?.confidence).toBe('estimated')
    expect(lost?.endMs).toBeLessThanOrEqual(stoppedMs)
    expect(anew?.startMs).toBeGreaterThanOrEqual(stoppedMs)
    expect(anew?.endMs).toBeUndefined()
    await verify()
    await remove('service')
  })

  /** Whoever supervises the second starts it again and again. */
  async function takeOver(): Promise<void> {
    for (;;) {
      // As if the first had stood still for fifteen seconds.
      await server.query('update journey.writer set renewed_ms = 0')
      if (await (await begin('second')).comesUp(signal)) return
    }
  }
})

async function ledgerCondition(): Promise<string | undefined> {
  const { status } = await journey.api.get(nodes, { name: 'burst-0' }, signal)
  const found = status?.conditions?.find(({ type }) => type === ledgerReadyCondition)
  return found && `${found.status} ${found.reason}`
}

interface Task {
  /** Left out: it runs until it is deleted. */
  readonly runsMs?: number
}

/** On the node, without asking the scheduler. */
async function create(name: string, { runsMs }: Task): Promise<void> {
  const pod = {
    metadata: {
      namespace,
      name,
      annotations: { 'simulator.spillway.dev/run-ms': String(runsMs ?? 'forever') },
    },
    spec: {
      nodeName: 'burst-0',
      restartPolicy: runsMs === undefined ? 'Always' : 'Never',
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: 'registry.k8s.io/pause:3.10.2',
          resources: { requests: { cpu: '1', memory: '2Gi' } },
        },
      ],
    },
  }
  await journey.api.create(pods, pod, signal)
}

function get(name: string): Promise<Pod> {
  return journey.api.get(pods, { namespace, name }, signal)
}

async function untilPhase(name: string, phase: string): Promise<void> {
  await until(`${name} is ${phase}`, async () => (await get(name)).status?.phase === phase, signal)
}

/** Resolves when the API server does not have it any more. */
async function remove(name: string): Promise<void> {
  await journey.api.delete(pods, { namespace, name }, {}, signal)
  await until(`${name} is gone`, async () => await isGone(name), signal)
}

async function isGone(name: string): Promise<boolean> {
  try {
    await get(name)
    return false
  } catch (error) {
    if (hasCode(error, 'NotFound')) return true
    throw error
  }
}

async function untilNodeTakesPods(): Promise<void> {
  await until(
    'the node takes Pods',
    async () => {
      const { items } = await journey.api.list(nodes, {}, signal)
      const isReady = ({ status }: (typeof items)[number]): boolean =>
        status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false
      return items.some((node) => isReady(node) && !node.spec?.taints?.some(isOfTrouble))
    },
    signal,
  )
}

function isOfTrouble({ key }: { readonly key: string }): boolean {
  return key.startsWith('node.kubernetes.io/')
}

/** As anybody may read it, beside the one that writes. */
async function intervals(): Promise<readonly UsageInterval[]> {
  const ledger = await openLedger(url, { readOnly: true })
  try {
    return await ledger.intervals({ fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }, signal)
  } finally {
    await ledger.close()
  }
}

async function intervalsOf(name: string): Promise<readonly UsageInterval[]> {
  return (await intervals()).filter(({ pod }) => pod?.name === name)
}

async function intervalOf(name: string): Promise<UsageInterval> {
  await until(`${name} is billed once`, async () => (await intervalsOf(name)).length === 1, signal)
  const [interval] = await intervalsOf(name)
  if (!interval) throw new Error(`${name} is not billed`)
  return interval
}

async function openPods(): Promise<readonly string[]> {
  const open = (await intervals()).filter(({ endMs }) => endMs === undefined)
  return open.map(({ pod }) => pod?.name ?? '').sort()
}

/** By the command, which reads the database. */
async function verify(): Promise<void> {
  const { code, stdout } = await spillway('ledger', 'verify', '--ledger', url)
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('events') })
}

async function spillway(...args: readonly string[]): Promise<{ code: number; stdout: string }> {
  let stdout = ''
  const code = await runCli([...args, '--config', journey.configFile], {
    environment: {},
    clock: systemClock,
    random: () => 0.5,
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stdout += text) },
    signal,
  })
  return { code, stdout }
}
