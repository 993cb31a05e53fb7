/** What budgets of pools and namespaces do, on a real control plane with the whole of Spillway and simulated containers. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askAdmin } from '../../src/cli/admin-client.ts'
import { runCli } from '../../src/cli/program.ts'
import type { BudgetsView, BudgetView, ExplainView } from '../../src/console/api/contract.ts'
import { events, namespaces, nodes, pods, virtualNodePools } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { Node, Pod } from '../../src/model/kubernetes.ts'
import { isUnschedulable } from '../../src/scheduling/unschedulable.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { until } from '../support/until.ts'

const ending = new AbortController()
const { signal } = ending
let journey: JourneyApp
let perHour: number

// No server at all: whatever comes wants to go out. Pool thrifty comes first and has a budget; pool spare has none.
beforeAll(async () => {
  journey = await JourneyApp.start(
    {
      clusterName: 'budgets',
      backends: [{ name: 'local', kind: 'simulator', options: { sandboxMs: 10, pullMs: 10, startMs: 10 } }],
      pools: [
        {
          name: 'thrifty',
          backend: 'local',
          capacity: { cpu: 100, memory: '400Gi' },
          priceBook: 'flat-demo',
          budget: { currency: 'USD', perMonth: '1000000' },
        },
        { name: 'spare', backend: 'local', capacity: { cpu: 100, memory: '400Gi' }, priceBook: 'flat-demo' },
      ],
    },
    signal,
  )
  await until(
    'both nodes take Pods',
    async () => {
      const { items } = await journey.api.list(nodes, {}, signal)
      const open = items.filter(
        ({ spec }) => !spec?.taints?.some(({ key }) => key.startsWith('node.kubernetes.io/')),
      )
      return open.length === 2
    },
    signal,
  )
  await createNamespace(journey.api, { name: 'asks' }, signal)
  const view = await explain({ pod: podOf('asks', 'priced') })
  perHour = Number(view.prices.find(({ pool }) => pool === 'thrifty')?.size?.perHour)
  expect(perHour).toBeGreaterThan(0)
})

afterAll(async () => {
  ending.abort()
  await journey?.[Symbol.asyncDispose]()
})

/** One that ends within five minutes, so that what it reserves is a twelfth of its hour. */
function podOf(namespace: string, name: string, more: object = {}, metadata: object = {}): Pod {
  const container = {
    name: 'main',
    image: 'registry.k8s.io/pause:3.10.2',
    resources: { requests: { cpu: '1', memory: '2Gi' } },
  }
  const spec = { activeDeadlineSeconds: 270, terminationGracePeriodSeconds: 30, containers: [container] }
  return { metadata: { namespace, name, ...metadata }, spec: { ...spec, ...more } }
}

async function podsIn(namespace: string): Promise<readonly Pod[]> {
  const { items } = await journey.api.list(pods, { namespace }, signal)
  return items.filter(({ metadata }) => !metadata?.deletionTimestamp)
}

async function onPool(namespace: string, pool: string): Promise<number> {
  return (await podsIn(namespace)).filter(({ spec }) => spec?.nodeName?.startsWith(`${pool}-`)).length
}

async function explain(query: object): Promise<ExplainView> {
  const target = join(journey.folder, 'admin.sock')
  return (await askAdmin({ target }, '/v1/explain', { body: query }, signal)) as ExplainView
}

async function budgetOf(name: string): Promise<BudgetView | undefined> {
  const target = join(journey.folder, 'admin.sock')
  const view = (await askAdmin({ target }, '/v1/budgets', {}, signal)) as BudgetsView
  return view.budgets.find((budget) => budget.name === name)
}

async function conditionOf(node: string): Promise<string | undefined> {
  const found: Node = await journey.api.get(nodes, { name: node }, signal)
  const condition = found.status?.conditions?.find(({ type }) => type === 'spillway.dev/WithinBudget')
  return condition && `${condition.status} ${condition.reason}`
}

async function setBudget(budget: object | null): Promise<void> {
  const patch = { type: 'merge', body: { spec: { budget } } } as const
  await journey.api.patch(virtualNodePools, { name: 'thrifty' }, patch, signal)
}

/** So many Pods of five minutes, as a decimal. */
function costing(many: number): string {
  return ((perHour / 12) * many).toFixed(9)
}

async function eventsAbout(kind: string, name: string): Promise<readonly string[]> {
  const { items } = await journey.api.list(events, {}, signal)
  return items
    .filter(({ involvedObject: about }) => about.kind === kind && about.name === name)
    .map(({ reason = '' }) => reason)
}

async function newHome(name: string, annotations: Record<string, string> = {}): Promise<string> {
  await createNamespace(journey.api, { name }, signal)
  if (Object.keys(annotations).length > 0) {
    const patch = { type: 'merge', body: { metadata: { annotations } } } as const
    await journey.api.patch(namespaces, { name }, patch, signal)
    await until('its budget is known', async () => (await budgetOf(name)) !== undefined, signal)
  }
  return name
}

describe('the budget of a pool', () => {
  test('is a condition of its nodes and of the pool, and part of its status', async () => {
    await until(
      'the node says so',
      async () => (await conditionOf('thrifty-0')) === 'True WithinBudget',
      signal,
    )
    expect(await conditionOf('spare-0')).toBeUndefined()
    const pool = await journey.api.get(virtualNodePools, { name: 'thrifty' }, signal)
    await until(
      'and the pool',
      async () => {
        const { status } = await journey.api.get(virtualNodePools, { name: 'thrifty' }, signal)
        return status?.budget?.month?.cap === '1000000'
      },
      signal,
    )
    expect(pool.spec?.['budget']).toEqual({
      currency: 'USD',
      perMonth: '1000000',
      warnAtPercent: 80,
      atCap: 'StopNew',
    })
  })

  test('sends Pods on to the next pool when it has no room, and explain says why', async () => {
    const home = await newHome('falls')
    // Two and a half Pods of five minutes.
    await setBudget({ currency: 'USD', perMonth: costing(2.5) })
    await until(
      'it is known',
      async () => (await budgetOf('thrifty'))?.periods[0]?.cap === costing(2.5),
      signal,
    )
    for (let index = 0; index < 4; index += 1) {
      await journey.api.create(pods, podOf(home, `job-${index}`), signal)
    }
    await until(
      'two are on each',
      async () => (await onPool(home, 'thrifty')) === 2 && (await onPool(home, 'spare')) === 2,
      signal,
    )
    const view = await explain({ pod: podOf(home, 'one-more') })
    expect(view).toMatchObject({ outcome: 'virtual', pool: 'spare' })
    const rule = view.rules.find(({ rule: name }) => name === 'pool thrifty')
    expect(rule?.passes).toBe(false)
    expect(rule?.evidence).toMatch(
      /^the budget of pool thrifty: until the end of the month it costs up to \$/,
    )
  })

  test('at its cap is told by condition, events and the command, and is open again with a greater one', async () => {
    // Whatever they have cost by now is more than that.
    await setBudget({ currency: 'USD', perMonth: '0.000000001' })
    await until('the node says so', async () => (await conditionOf('thrifty-0')) === 'False CapSpent', signal)
    await until(
      'an event on the pool says so',
      async () => (await eventsAbout('VirtualNodePool', 'thrifty')).includes('CapSpent'),
      signal,
    )
    await until(
      'and the pool',
      async () => {
        const { status } = await journey.api.get(virtualNodePools, { name: 'thrifty' }, signal)
        const found = status?.conditions?.find(({ type }) => type === 'WithinBudget')
        return found?.status === 'False' && found.reason === 'CapSpent'
      },
      signal,
    )
    // What runs goes on.
    expect(await onPool('falls', 'thrifty')).toBe(2)
    const told = await budgetCommand('--check')
    expect(told.code).toBe(3)
    expect(told.stdout).toMatch(/^VirtualNodePool thrifty +month .* CapSpent$/m)
    await setBudget({ currency: 'USD', perMonth: '1000', warnAtPercent: 1 })
    await until('it is open', async () => (await conditionOf('thrifty-0')) === 'True WithinBudget', signal)
    expect((await budgetCommand('--check')).code).toBe(0)
    const metrics = await metricsText()
    expect(metrics).toMatch(
      /^spillway_budget_limit\{owner="VirtualNodePool",name="thrifty",period="month",currency="USD"\} 1000$/m,
    )
    expect(metrics).toMatch(
      /^spillway_budget_forecast_ratio\{owner="VirtualNodePool",name="thrifty",.*\} 0\.\d+/m,
    )
  })

  test('warns once at its share', async () => {
    const spent = Number((await budgetOf('thrifty'))?.periods[0]?.spent)
    // More than reserved, and far less than what has been spent by a hundredth.
    const cap = Math.max(spent * 50, perHour).toFixed(9)
    await setBudget({ currency: 'USD', perMonth: cap, warnAtPercent: 1 })
    await until('it is near', async () => (await conditionOf('thrifty-0')) === 'True NearCap', signal)
    await until(
      'an event on the pool warns',
      async () => (await eventsAbout('VirtualNodePool', 'thrifty')).includes('NearCap'),
      signal,
    )
  })

  test('fails a Pod with a hand-written nodeName, and keeps one that has a controller waiting', async () => {
    const home = await newHome('by-hand')
    await setBudget({ currency: 'USD', perMonth: '0.000000001' })
    await until('it is closed', async () => (await conditionOf('thrifty-0')) === 'False CapSpent', signal)
    const here = { nodeName: 'thrifty-0' }
    await journey.api.create(pods, podOf(home, 'bare', here), signal)
    await until(
      'it has failed',
      async () =>
        (await journey.api.get(pods, { namespace: home, name: 'bare' }, signal)).status?.phase === 'Failed',
      signal,
    )
    const { status } = await journey.api.get(pods, { namespace: home, name: 'bare' }, signal)
    expect(status).toMatchObject({ reason: 'OverBudget' })
    expect(status?.message).toContain('the budget of pool thrifty')
    // Whoever owns it would send the next one here at once. (This owner is none that the garbage collector looks for.)
    const owner = {
      apiVersion: 'v1',
      kind: 'Namespace',
      name: home,
      uid: await uidOf(home),
      controller: true,
    }
    await journey.api.create(pods, podOf(home, 'owned', here, { ownerReferences: [owner] }), signal)
    await until('it is told', async () => (await eventsAbout('Pod', 'owned')).includes('OverBudget'), signal)
    expect((await journey.api.get(pods, { namespace: home, name: 'owned' }, signal)).status?.phase).toBe(
      'Pending',
    )
    await setBudget({ currency: 'USD', perMonth: '1000' })
    await until(
      'it runs once there is room',
      async () =>
        (await journey.api.get(pods, { namespace: home, name: 'owned' }, signal)).status?.phase === 'Running',
      signal,
    )
  })

  test('that says Stop ends what runs there, and no other', async () => {
    const home = await newHome('stops')
    await journey.api.create(pods, podOf(home, 'on-spare', { nodeName: 'spare-0' }), signal)
    await journey.api.create(pods, podOf(home, 'on-thrifty', { nodeName: 'thrifty-0' }), signal)
    await until(
      'both run',
      async () => (await podsIn(home)).filter(({ status }) => status?.phase === 'Running').length === 2,
      signal,
    )
    await setBudget({ currency: 'USD', perMonth: '0.000000001', atCap: 'Stop' })
    await until('one is evicted', async () => (await onPool(home, 'thrifty')) === 0, signal)
    expect(await onPool(home, 'spare')).toBe(1)
    await until(
      'it is told why',
      async () => (await eventsAbout('Pod', 'on-thrifty')).includes('SpendCapReached'),
      signal,
    )
    await setBudget(null)
    await until(
      'a budget that is gone is said to be',
      async () => (await conditionOf('thrifty-0')) === 'True NoBudget',
      signal,
    )
  })
})

describe('the budget of a namespace', () => {
  test('holds for its Pods in every pool, and leaves those of others alone', async () => {
    const home = await newHome('capped', { 'spillway.dev/budget-per-month': `${costing(1.5)} USD` })
    const other = await newHome('free')
    for (const name of ['one', 'two']) {
      await journey.api.create(pods, podOf(home, name), signal)
      await journey.api.create(pods, podOf(other, name), signal)
    }
    const isOut = ({ spec }: Pod): boolean => spec?.nodeName !== undefined
    await until(
      'both of the others are out, and one of its own',
      async () => (await podsIn(other)).every(isOut) && (await podsIn(home)).filter(isOut).length === 1,
      signal,
    )
    const waiting = (await podsIn(home)).find(isUnschedulable)?.metadata?.name
    await until(
      'the one that waits is told',
      async () => (await eventsAbout('Pod', waiting ?? '')).includes('OverflowHeld'),
      signal,
    )
    const view = await explain({ namespace: home, name: waiting })
    expect(view.outcome).toBe('waits')
    expect(view.rules.at(-1)?.evidence).toMatch(/^the budget of namespace capped: until the end of the month/)
    await until(
      'an event on the namespace says so',
      async () => (await eventsAbout('Namespace', home)).includes('NoRoom'),
      signal,
    )
    const annotations = { 'spillway.dev/budget-per-month': `${costing(3.5)} USD` }
    const patch = { type: 'merge', body: { metadata: { annotations } } } as const
    await journey.api.patch(namespaces, { name: home }, patch, signal)
    await until('the other goes, too', async () => (await podsIn(home)).every(isOut), signal)
  })
})

test('a Pod says what it is billed by, and what it has cost at its end', async () => {
  const home = await newHome('annotated')
  const ends = { activeDeadlineSeconds: 2, terminationGracePeriodSeconds: 1 }
  await journey.api.create(pods, podOf(home, 'task', ends), signal)
  const annotations = async () =>
    (await journey.api.get(pods, { namespace: home, name: 'task' }, signal)).metadata?.annotations ?? {}
  await until('it is priced', async () => 'spillway.dev/price-per-hour' in (await annotations()), signal)
  expect(await annotations()).toMatchObject({
    'spillway.dev/spec': '1 core, 2 GiB',
    'spillway.dev/price-per-hour': `${perHour} USD`,
  })
  await until('it is over', async () => 'spillway.dev/cost' in (await annotations()), signal)
  const query = { fromMs: '0', toMs: String(systemClock.wallMs() + 3_600_000), by: 'pod' }
  const target = join(journey.folder, 'admin.sock')
  const bill = (await askAdmin({ target }, '/v1/bill', query, signal)) as {
    rows: readonly { namespace: string; pod: string; amount: string }[]
  }
  const row = bill.rows.find(({ namespace, pod }) => namespace === home && pod === 'task')
  expect((await annotations())['spillway.dev/cost']).toBe(`${row?.amount} USD`)
})

async function uidOf(namespace: string): Promise<string> {
  return (await journey.api.get(namespaces, { name: namespace }, signal)).metadata?.uid ?? ''
}

async function budgetCommand(...flags: readonly string[]): Promise<{ code: number; stdout: string }> {
  let stdout = ''
  const code = await runCli(['budget', ...flags, '--config', journey.configFile], {
    environment: {},
    clock: systemClock,
    random: () => 0.5,
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stdout += text) },
    signal,
  })
  return { code, stdout }
}

async function metricsText(): Promise<string> {
  const { Client } = await import('undici')
  const client = new Client('http://spillway', { socketPath: join(journey.folder, 'admin.sock') })
  try {
    const { body } = await client.request({ method: 'GET', path: '/metrics' })
    return await body.text()
  } finally {
    await client.close()
  }
}
