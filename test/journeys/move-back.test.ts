/** Servers have room again: Pods that overflow sent out come back, and nobody notices but who pays. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { KubeApi, Resource } from '../../src/kube/api.ts'
import { publishDefinitions } from '../../src/dev-cluster/definitions.ts'
import { deployments, events, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import { errorMessage, hasCode } from '../../src/model/errors.ts'
import type { KubeObject, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { moveBackAfterAnnotation, movedBackAnnotation, twinLabel } from '../../src/model/words.ts'
import { burstPolicies } from '../../src/scheduling/burst/burst-policy-object.ts'
import { isActive, isReady } from '../../src/scheduling/removal-order.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { isVirtual } from '../support/removals.ts'
import { startSmallHouse, type SmallHouse } from '../support/small-house.ts'
import { until as waitUntil } from '../support/until.ts'

/** As much of a kind as is written here. */
interface Loose extends KubeObject {
  readonly spec?: object
  readonly status?: object
}

let house: SmallHouse
let api: KubeApi
let signal: AbortSignal
/** Namespaces whose Pods on servers are not started for now. */
const held = new Set<string>()
const opened: string[] = []
const quick = { moveBack: { enabled: true, afterSeconds: 1, perMinute: 100 } }

// Two servers of two Pods each.
beforeAll(async () => {
  house = await startSmallHouse({
    servers: [
      { name: 'server-0', cpu: '1' },
      { name: 'server-1', cpu: '1' },
    ],
    pools: [{ name: 'burst', capacity: { cpu: '8', memory: '32Gi' } }],
    config: quick,
    kubelets: { startMs: 100, owns: (pod) => !held.has(pod.metadata?.namespace ?? '') || isLeaving(pod) },
  })
  ;({ api, signal } = house)
})

// Also after a failure, so that it stays one.
afterEach(async () => {
  await house.start(quick)
  for (const namespace of opened.splice(0)) await clear(namespace)
})

afterAll(async () => await house?.[Symbol.asyncDispose]())

function isLeaving({ metadata }: Pod): boolean {
  return metadata?.deletionTimestamp !== undefined
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  try {
    await waitUntil(what, async () => holds(), signal)
  } catch (error) {
    const told = (await api.list(events, {}, signal)).items
      .filter(({ reason }) => reason?.startsWith('Move'))
      .map(({ involvedObject, reason, message }) => `${involvedObject.name} ${reason}: ${message}`)
    const there = house.pods.list().map(described)
    throw new Error([errorMessage(error), ...there, ...told.slice(-20)].join('\n'), { cause: error })
  }
}

function described({ metadata, spec, status }: Pod): string {
  const conditions = (status?.conditions ?? []).map(
    ({ type, status: is, reason }) => `${type}=${is} ${reason ?? ''}`,
  )
  return `${metadata?.namespace}/${metadata?.name} on ${spec?.nodeName}: ${status?.phase} ${conditions.join(' ')} ${JSON.stringify(metadata?.labels)} ${JSON.stringify(metadata?.annotations)}`
}

const labels = { app: 'web' }
const podSpec: PodSpec = {
  terminationGracePeriodSeconds: 1,
  containers: [{ name: 'web', image: 'web:1', resources: { requests: { cpu: '400m', memory: '512Mi' } } }],
}

/** Four Pods of which two are on servers, since others were there first. Those others are the ones to remove. */
async function spill(
  namespace: string,
  more: { readonly spec?: Partial<PodSpec>; readonly deployment?: object } = {},
): Promise<readonly string[]> {
  opened.push(namespace)
  await createNamespace(api, { name: namespace }, signal)
  const blockers = ['blocker-0', 'blocker-1']
  for (const name of blockers) await createBlocker(namespace, name)
  await until('the blockers are bound', () =>
    blockers.every((name) => house.pods.get({ namespace, name })?.spec?.nodeName !== undefined),
  )
  const template = { metadata: { labels }, spec: { ...podSpec, ...more.spec } }
  const spec = { replicas: 4, selector: { matchLabels: labels }, template, ...more.deployment }
  await api.create(deployments, { metadata: { namespace, name: 'web' }, spec }, signal)
  await until('two run on servers and two out there', () => {
    const ready = webOf(namespace).filter(isReady)
    return ready.length === 4 && ready.filter(isVirtual).length === 2
  })
  return blockers
}

async function createBlocker(namespace: string, name: string): Promise<void> {
  const metadata = { namespace, name, labels: { 'spillway.dev/placement': 'server' } }
  await api.create(pods, { metadata, spec: podSpec }, signal)
}

async function remove(namespace: string, names: readonly string[]): Promise<void> {
  for (const name of names) await api.delete(pods, { namespace, name }, {}, signal)
  await until('they are gone', () => names.every((name) => !house.pods.get({ namespace, name })))
}

async function clear(namespace: string): Promise<void> {
  await release(namespace)
  for (const { metadata } of (await api.list(deployments, { namespace }, signal)).items)
    await api.delete(
      deployments,
      { namespace, name: metadata?.name ?? '' },
      { propagation: 'Background' },
      signal,
    )
  for (const { metadata } of podsOf(namespace)) {
    try {
      await api.delete(pods, { namespace, name: metadata?.name ?? '' }, {}, signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
    }
  }
  await until(`nothing is left of ${namespace}`, () => podsOf(namespace).length === 0)
}

function podsOf(namespace: string): readonly Pod[] {
  return house.pods.list().filter(({ metadata }) => metadata?.namespace === namespace)
}

/** What the ReplicaSet counts. */
function webOf(namespace: string): readonly Pod[] {
  return podsOf(namespace).filter(
    (pod) => isActive(pod) && pod.metadata?.ownerReferences?.some(({ controller }) => controller),
  )
}

function twinsOf(namespace: string): readonly Pod[] {
  return podsOf(namespace).filter(({ metadata }) => metadata?.labels?.[twinLabel] !== undefined)
}

/** All twins that ever were, from now on. */
function recordTwins(namespace: string): ReadonlySet<string> {
  const seen = new Set<string>()
  house.pods.subscribe(({ after }) => {
    if (after?.metadata?.namespace === namespace && after.metadata.labels?.[twinLabel] !== undefined)
      seen.add(after.metadata.uid ?? '')
  })
  return seen
}

async function toldIn(namespace: string, reason: string): Promise<readonly string[]> {
  const { items } = await api.list(events, { namespace }, signal)
  return items.filter((event) => event.reason === reason).map(({ message }) => message ?? '')
}

async function untilTold(namespace: string, reason: string): Promise<readonly string[]> {
  let told: readonly string[] = []
  await until(`there is an event ${reason}`, async () => (told = await toldIn(namespace, reason)).length > 0)
  return told
}

const budgets: Resource<Loose> = {
  group: 'policy',
  version: 'v1',
  plural: 'poddisruptionbudgets',
  kind: 'PodDisruptionBudget',
  namespaced: true,
}
const limitRanges: Resource<Loose> = {
  group: '',
  version: 'v1',
  plural: 'limitranges',
  kind: 'LimitRange',
  namespaced: true,
}
const quotas: Resource<Loose> = {
  group: '',
  version: 'v1',
  plural: 'resourcequotas',
  kind: 'ResourceQuota',
  namespaced: true,
}

describe('when the servers have room again', () => {
  test('all come back, one by one, and there are never fewer than there are to be', async () => {
    const namespace = 'back'
    const blockers = await spill(namespace)
    const budget = { spec: { minAvailable: '100%', selector: { matchLabels: labels } } }
    await api.create(budgets, { metadata: { namespace, name: 'web' }, ...budget }, signal)
    const before = await api.get(deployments, { namespace, name: 'web' }, signal)
    const seen = { leastReady: 4, mostTwins: 0 }
    const end = house.pods.subscribe(() => {
      const ready = webOf(namespace).filter(isReady).length + twinsOf(namespace).filter(isReady).length
      seen.leastReady = Math.min(seen.leastReady, ready)
      seen.mostTwins = Math.max(seen.mostTwins, twinsOf(namespace).length)
    })
    expect(
      (await house.explain({ namespace, name: nameOf(webOf(namespace).find(isVirtual)) })).movesBack,
    ).toMatch(
      /^once servers have had room for it and 10 % to spare for 1 s \(none has now\); it costs [\d.]+ USD an hour out there$/,
    )
    await remove(namespace, blockers)
    await until('all four are on servers', () => {
      const web = podsOf(namespace)
      return web.length === 4 && web.every((pod) => isReady(pod) && !isVirtual(pod))
    })
    end()
    expect(seen).toEqual({ leastReady: 4, mostTwins: 1 })
    const after = await api.get(deployments, { namespace, name: 'web' }, signal)
    expect(after.metadata?.generation).toBe(before.metadata?.generation)
    const moved = webOf(namespace).filter(({ metadata }) => metadata?.annotations?.[movedBackAnnotation])
    expect(moved).toHaveLength(2)
    const [other] = webOf(namespace).filter((pod) => !moved.includes(pod))
    for (const pod of moved) {
      expect(pod.metadata?.labels).toEqual(other?.metadata?.labels)
      expect(pod.metadata?.ownerReferences?.map(({ uid }) => uid)).toEqual(
        other?.metadata?.ownerReferences?.map(({ uid }) => uid),
      )
    }
    const told = await untilTold(namespace, 'MovedBack')
    expect(told).toContainEqual(
      expect.stringMatching(
        /^takes the place of web-\w+-\w+ on virtual node burst-0; saves [\d.]+ USD an hour$/,
      ),
    )
  })

  test('Pods that were sent out by hand stay, while others beside them come back', async () => {
    const namespace = 'stays'
    const tolerations = [{ key: 'spillway.dev/virtual-node', operator: 'Exists', effect: 'NoSchedule' }]
    const blockers = await spill(namespace, { spec: { tolerations } })
    const template = { metadata: { labels: { app: 'other' } }, spec: podSpec }
    const spec = { replicas: 1, selector: { matchLabels: { app: 'other' } }, template }
    await api.create(deployments, { metadata: { namespace, name: 'other' }, spec }, signal)
    const other = (): readonly Pod[] =>
      podsOf(namespace).filter((pod) => pod.metadata?.labels?.['app'] === 'other')
    await until('the other is out there, too', () => other().every((pod) => isReady(pod) && isVirtual(pod)))
    await remove(namespace, blockers)
    await until('the other is back', () => other().length === 1 && other().every((pod) => !isVirtual(pod)))
    const out = webOf(namespace).filter(isVirtual)
    expect(out).toHaveLength(2)
    expect((await house.explain({ namespace, name: nameOf(out[0]) })).movesBack).toMatch(
      /^never, as things stand: its template lets it onto virtual nodes, so that overflow did not send it there/,
    )
  })
})

describe('a burst policy', () => {
  test('keeps out there whom it wants to, and lets them come back once it is changed', async () => {
    const namespace = 'willed'
    await publishDefinitions(api, systemClock, signal)
    const blockers = await spill(namespace)
    const moveBack = { enabled: false }
    const spec = { podSelector: { matchLabels: labels }, moveBack }
    const name = { namespace, name: 'web' }
    await api.create(burstPolicies, { metadata: name, spec }, signal)
    await until(
      'it is seen',
      async () => (await api.get(burstPolicies, name, signal)).status?.observedGeneration === 1,
    )
    const template = { metadata: { labels: { app: 'other' } }, spec: podSpec }
    const others = { replicas: 1, selector: { matchLabels: { app: 'other' } }, template }
    await api.create(deployments, { metadata: { namespace, name: 'other' }, spec: others }, signal)
    const other = (): readonly Pod[] =>
      podsOf(namespace).filter((pod) => pod.metadata?.labels?.['app'] === 'other')
    await until(
      'another is out there, too',
      () => other().length === 1 && other().every((pod) => isReady(pod) && isVirtual(pod)),
    )
    await remove(namespace, blockers)
    await until('the other is back', () => other().length === 1 && other().every((pod) => !isVirtual(pod)))
    expect(twinsOf(namespace)).toEqual([])
    const out = webOf(namespace).filter(isVirtual)
    expect(out).toHaveLength(2)
    const why = async (): Promise<string | undefined> =>
      (await house.explain({ namespace, name: nameOf(out[0]) })).movesBack
    expect(await why()).toBe('never: moving back is off for it')
    // There is room for one of them, and for longer than the configuration asks for.
    const change = { moveBack: { enabled: true, afterSeconds: 2 } }
    await api.patch(burstPolicies, name, { type: 'merge', body: { spec: change } }, signal)
    await until('it is heard', async () => (await why())?.includes(' for 2 s ') === true)
    await until('one of them is back', () => webOf(namespace).filter(isVirtual).length === 1)
    await api.delete(burstPolicies, name, {}, signal)
  })
})

describe('a move that cannot be', () => {
  test('a twin that its quota refuses is put off, and says so', async () => {
    const namespace = 'quota'
    const blockers = await spill(namespace)
    const quota: Loose = {
      metadata: { namespace, name: 'tight' },
      spec: { hard: { pods: '4' } },
    }
    await api.create(quotas, quota, signal)
    await until('the quota counts', async () => {
      const { status } = await api.get<KubeObject & { status?: { used?: object } }>(
        quotas,
        { namespace, name: 'tight' },
        signal,
      )
      return status?.used !== undefined
    })
    await remove(namespace, blockers)
    const [told] = await untilTold(namespace, 'MoveBackPutOff')
    expect(told).toMatch(/a twin of it was refused: .*exceeded quota.*; not tried again before 20/)
    expect(webOf(namespace).filter(isVirtual)).toHaveLength(2)
    expect(twinsOf(namespace)).toEqual([])
  })

  test('a twin that the scheduler finds no server for is removed, and its Pod is left alone for a time', async () => {
    const namespace = 'larger'
    const resources = { requests: { cpu: '400m' } }
    const blockers = await spill(namespace, {
      spec: { containers: [{ name: 'web', image: 'web:1', resources }] },
    })
    // Its namespace makes new Pods larger than those that are there.
    const memory = { memory: '100Gi' }
    const spec = { limits: [{ type: 'Container', default: memory, defaultRequest: memory }] }
    await api.create(limitRanges, { metadata: { namespace, name: 'large' }, spec }, signal)
    await remove(namespace, blockers)
    const [told] = await untilTold(namespace, 'MoveBackPutOff')
    expect(told).toMatch(/^it found no room: .*Insufficient memory.*; not tried again before 20/)
    await until('the twin is gone', () => twinsOf(namespace).length === 0)
    const out = webOf(namespace).filter(isVirtual)
    expect(out).toHaveLength(2)
    const [putOff] = out.filter(({ metadata }) => metadata?.annotations?.[moveBackAfterAnnotation])
    const view = await house.explain({ namespace, name: nameOf(out.find((pod) => pod !== putOff)) })
    expect(view.movesBack).toContain(`not before ${putOff?.metadata?.annotations?.[moveBackAfterAnnotation]}`)
  })
})

describe('while a twin is under way', () => {
  test('the workload shrinks: the Pod that it was for goes first, and the twin with it', async () => {
    const namespace = 'scaled'
    await withTwin(namespace)
    const stayers = uidsOf(webOf(namespace).filter((pod) => !isVirtual(pod)))
    const patch = { type: 'merge', body: { spec: { replicas: 2 } } } as const
    await api.patch(deployments, { namespace, name: 'web' }, patch, signal)
    await until('two are left and nothing else', () => podsOf(namespace).length === 2)
    expect(uidsOf(podsOf(namespace))).toEqual(stayers)
  })

  test('the workload grows: the twin makes way, or is one of them, and there are as many as there are to be', async () => {
    const namespace = 'grown'
    await withTwin(namespace)
    const patch = { type: 'merge', body: { spec: { replicas: 5 } } } as const
    await api.patch(deployments, { namespace, name: 'web' }, patch, signal)
    await release(namespace)
    await until('five are there, four of them on servers', () => {
      const there = podsOf(namespace)
      return there.length === 5 && there.every(isReady) && there.filter(isVirtual).length === 1
    })
    expect(webOf(namespace)).toHaveLength(5)
  })

  test('its template changes: no twin of the old one is handed over', async () => {
    const namespace = 'updated'
    await withTwin(namespace)
    const old = webOf(namespace)[0]?.metadata?.labels?.['pod-template-hash']
    const template = { metadata: { annotations: { version: 'two' } } }
    const patch = { type: 'merge', body: { spec: { template } } } as const
    await api.patch(deployments, { namespace, name: 'web' }, patch, signal)
    await until('the twin is gone', () => twinsOf(namespace).length === 0)
    await release(namespace)
    await until('all are of the new template, and on servers', () => {
      const web = podsOf(namespace)
      const isNew = (pod: Pod): boolean => pod.metadata?.labels?.['pod-template-hash'] !== old
      return web.length === 4 && web.every((pod) => isNew(pod) && isReady(pod) && !isVirtual(pod))
    })
  })

  test('the Pod that it was to replace goes while Spillway is down: the cluster removes the twin', async () => {
    const namespace = 'orphaned'
    const original = await withTwin(namespace)
    await house.stop()
    await api.delete(pods, { namespace, name: nameOf(original) }, { graceSeconds: 0 }, signal)
    await until('the twin is gone', () => twinsOf(namespace).length === 0)
  })

  test('Spillway is started anew: it goes on with the same twin', async () => {
    const namespace = 'restarted'
    await withTwin(namespace)
    const [twin] = twinsOf(namespace)
    await house.stop()
    await release(namespace)
    await house.start(quick)
    await until('all four are on servers', () => {
      const web = webOf(namespace)
      return web.length === 4 && podsOf(namespace).length === 4 && web.every((pod) => !isVirtual(pod))
    })
    const ended = (await api.list(events, { namespace }, signal)).items.filter(
      ({ reason }) => reason === 'MoveBackEnded',
    )
    expect(ended.map(({ message }) => message)).toEqual([])
    expect(webOf(namespace).map(({ metadata }) => metadata?.uid)).toContain(twin?.metadata?.uid)
  })
})

describe('a load at the edge', () => {
  test('that comes and goes faster than room has to last moves nobody', { timeout: 180_000 }, async () => {
    const namespace = 'edge'
    await house.start({ moveBack: { enabled: true, afterSeconds: 5, perMinute: 100 } })
    const blockers = await spill(namespace)
    const twins = recordTwins(namespace)
    for (let round = 0; round < 6; round += 1) {
      await remove(namespace, blockers)
      await until('room has been seen', async () => {
        const view = await house.explain({ namespace, name: nameOf(webOf(namespace).find(isVirtual)) })
        return view.movesBack?.includes('has now') === true && !view.movesBack.includes('none has now')
      })
      for (const name of blockers) await createBlocker(namespace, name)
      await until('the load is back', () =>
        blockers.every((name) => house.pods.get({ namespace, name })?.spec?.nodeName !== undefined),
      )
    }
    expect([...twins]).toEqual([])
    // And the sample was one that could: once it stays away, they come back.
    await remove(namespace, blockers)
    await until('they come back', () => twins.size > 0)
  })
})

/** A workload with two Pods out there, room for them, and a twin of one that does not get ready yet. */
async function withTwin(namespace: string): Promise<Pod | undefined> {
  const blockers = await spill(namespace)
  held.add(namespace)
  await remove(namespace, blockers)
  await until('a twin is on a server', () =>
    twinsOf(namespace).some(({ spec }) => spec?.nodeName !== undefined),
  )
  const uid = twinsOf(namespace)[0]?.metadata?.labels?.[twinLabel]
  return house.pods.byUid(uid ?? '')
}

/** Lets what was held start. The fake kubelets look at a Pod when it changes, so that it has to. */
async function release(namespace: string): Promise<void> {
  held.delete(namespace)
  for (const { metadata, status } of podsOf(namespace)) {
    if (status?.phase !== 'Pending') continue
    const body = { metadata: { annotations: { looked: 'at' } } }
    try {
      await api.patch(pods, { namespace, name: metadata?.name ?? '' }, { type: 'merge', body }, signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
    }
  }
}

function uidsOf(list: readonly Pod[]): string[] {
  return list.map(({ metadata }) => metadata?.uid ?? '').sort()
}

function nameOf(pod: Pod | undefined): string {
  return pod?.metadata?.name ?? ''
}
