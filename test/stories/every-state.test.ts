/**
 * Pods in every state of every kind of container at once, and then something dies. What becomes of each, which attempts
 * of its containers ever ran, its restart counts and its bill are what they are when nothing does.
 */
import { isDeepStrictEqual } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { configMaps, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import { hasCode } from '../../src/model/errors.ts'
import { CriWitness, type WitnessedPod } from '../support/cri-witness.ts'
import { startExtraRegistry, type ExtraRegistry } from '../support/extra-registry.ts'
import { lives as livesWith, podOf, ranOf, type Life } from '../support/lives.ts'
import { backendsReady, killSpillway, startSpillway } from '../support/spillway-process.ts'
import { allowInPool } from '../support/allow-in-pool.ts'
import { isReady, story } from '../support/story.ts'
import { readBill, trueTimes } from '../support/true-times.ts'

const namespace = 'story-every-state'
const told = story(namespace)
// What kubectl debug adds by its usual profile.
allowInPool(told, { allow: [], capabilities: ['SYS_PTRACE'] })
const watched: { witness?: CriWitness; registry?: ExtraRegistry } = {}

beforeAll(async () => {
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
  watched.registry = await startExtraRegistry(told.current, { name: 'registry-that-hangs', port: 5444 })
})
afterAll(async () => {
  await watched.witness?.close()
  await watched.registry?.kill()
})
// What one test left dead must not fail the next.
afterEach(async () => {
  await watched.registry?.goOn()
  await startSpillway(told.current)
  await removeAll()
})

/** Longer than anything that the Pods were in the middle of takes. */
const allOverMs = 30_000

const faults: readonly (readonly [string, () => Promise<void>])[] = [
  ['nothing dies', async () => undefined],
  [
    'Spillway is killed, and comes back at once',
    async () => {
      await killSpillway(told.current)
      await startSpillway(told.current)
    },
  ],
  [
    'Spillway is killed, and comes back when all that was under way is over',
    async () => {
      await killSpillway(told.current)
      await systemClock.sleep(allOverMs, told.current.signal)
      await startSpillway(told.current)
    },
  ],
  ['containerd is killed', async () => await restart('containerd-virtual')],
  ['the API server is killed', async () => await restart('kube-apiserver')],
]

describe.each(faults)('when %s', (_, strike) => {
  test('every Pod becomes what it has to, each attempt runs once, and the bill is true', async () => {
    const { api, signal, until } = told.current
    const registry = the(watched.registry)
    const lives = livesWith(registry.host)
    await registry.hang()
    const uids = new Map<string, string>()
    for (const brief of [false, true]) {
      const now = lives.filter((life) => (life.brief ?? false) === brief)
      await Promise.all(now.map(async (life) => uids.set(life.name, await bringThere(life))))
    }
    const isThere = ({ name, reached }: Life): boolean =>
      reached({ pod: told.current.pod(name), witnessed: seen(uids.get(name)) })
    expect(lives.filter((life) => !isThere(life)).map(({ name }) => name)).toEqual([])
    const readySince = readyTime('a-container-is-ready')
    await strike()
    await registry.goOn()
    await api.create(configMaps, { metadata: { namespace, name: 'late' } }, signal)
    for (const life of lives) await until(`${life.name}: ${life.becomes}`, () => hasBecome(life), 120_000)
    for (const life of lives) {
      await until(
        `${life.name}: ${life.ran.join(', ')}`,
        () => same(ranOf(seen(uids.get(life.name))), life.ran),
        15_000,
      )
      // The API server may hear of the last attempt later than containerd has it.
      const counts = life.becomes === 'gone' ? {} : countsOf(life)
      const what = `${life.name}: restart counts of ${JSON.stringify(counts)}`
      await until(what, () => isDeepStrictEqual(restartCounts(life), counts), 15_000)
    }
    // It never was anything else meanwhile.
    expect(readyTime('a-container-is-ready')).toBe(readySince)
    await removeAll()
    await expectTrueBill([...uids.values()])
  }, 400_000)
})

/** Answers the Pod's UID once it is in the middle of what its name says. */
async function bringThere(life: Life): Promise<string> {
  const { api, kubectl, signal, until } = told.current
  const { name, begin, logged, reached } = life
  const { metadata } = await api.create(pods, podOf(life, namespace), signal)
  const uid = metadata?.uid ?? ''
  if (begin) await until(`${name} is ready`, () => isReady(told.current.pod(name)))
  if (begin === 'delete') await api.delete(pods, { namespace, name }, {}, signal)
  if (begin === 'debug') {
    const image = 'docker.io/library/busybox:1.37'
    const how = [`--image=${image}`, '--container=debugger', '--profile=general']
    const { code, stderr } = await kubectl('debug', name, ...how, '--', 'sleep', '3600')
    expect({ code, stderr }).toMatchObject({ code: 0 })
  }
  if (logged) {
    await until(`${name}: ${logged}`, async () => (await kubectl('logs', name)).stdout.includes(logged))
  }
  await until(`${name} is there`, () => reached({ pod: told.current.pod(name), witnessed: seen(uid) }))
  return uid
}

async function restart(component: 'containerd-virtual' | 'kube-apiserver'): Promise<void> {
  const { running, signal, until } = told.current
  await running.killComponent(component, signal)
  await running.startComponent(component, signal)
  await until('the nodes are well', async () => await backendsReady(told.current).catch(() => false))
}

function hasBecome({ name, becomes }: Life): boolean {
  const pod = told.current.pod(name)
  if (becomes === 'gone') return pod === undefined
  return becomes === 'ready' ? isReady(pod) : pod?.status?.phase === becomes
}

function readyTime(name: string): string | undefined {
  const { conditions = [] } = told.current.pod(name)?.status ?? {}
  return conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime
}

/** By the attempts that have to run. */
function countsOf({ ran }: Life): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const attempt of ran) {
    const [name = '', number] = (attempt.split(' ')[0] ?? '').split('#')
    counts[name] = Math.max(counts[name] ?? 0, Number(number))
  }
  return counts
}

/** As the API server tells them. */
function restartCounts({ name }: Life): Record<string, number> {
  const { status } = told.current.pod(name) ?? {}
  const all = [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ]
  return Object.fromEntries(all.map(({ name: container, restartCount }) => [container, restartCount]))
}

async function removeAll(): Promise<void> {
  const { api, signal, until } = told.current
  for (const { metadata } of told.current.pods()) {
    await api.delete(pods, { namespace, name: metadata?.name ?? '' }, { graceSeconds: 1 }, signal)
  }
  await api.delete(configMaps, { namespace, name: 'late' }, {}, signal).catch((error: unknown) => {
    if (!hasCode(error, 'NotFound')) throw error
  })
  await until('no Pod is left', () => told.current.pods().length === 0)
  const left = async (): Promise<readonly string[]> => (await watched.witness?.present(namespace)) ?? []
  await until('containerd has no sandbox of them', async () => (await left()).length === 0, 150_000)
}

async function expectTrueBill(uids: readonly string[]): Promise<void> {
  const { rows, pods: billed = [] } = await readBill(told.current)
  const mine = rows.filter(({ podUid }) => uids.includes(podUid ?? ''))
  expect(mine.filter(({ open, estimated }) => open || estimated)).toEqual([])
  for (const uid of uids) {
    const { start, end } = billed.find(({ podUid }) => podUid === uid) ?? {}
    expect({ start, end }, JSON.stringify({ uid, witnessed: seen(uid) })).toEqual(trueTimes(seen(uid)))
  }
}

function the<T>(made: T | undefined): T {
  if (made === undefined) throw new Error('it is only there inside of tests')
  return made
}

function seen(uid = ''): WitnessedPod {
  return watched.witness?.of(uid) ?? { sandboxes: [], containers: [] }
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((entry, at) => entry === other[at])
}
