/**
 * Pods that nobody would write on purpose, drawn from a seed: what the API server lets pass runs, or is told why it does
 * not by an event or a status that names what is wrong. Their neighbours do not notice, and nothing of them stays.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { events, pods } from '../../src/kube/resources.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { oddities, oddPods, type OddPod } from '../support/oddities.ts'
import { isReady, story } from '../support/story.ts'
import { scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-odd-pods'
const told = story(namespace)
const count = Number(process.env['SPILLWAY_ODD_PODS'] ?? oddities.length)
const seed = Number(process.env['SPILLWAY_SEED'] ?? 20_261_126)
const atOnce = 20

const forever = 'trap "exit 0" TERM; while true; do sleep 0.1; done'
const plain = scriptPod({ namespace, name: '' }, forever, {
  nodeName: 'burst-0',
  containers: [
    {
      name: 'main',
      image: 'docker.io/library/busybox:1.37',
      command: ['sh', '-c', forever],
      resources: { requests: { cpu: '5m', memory: '8Mi' } },
    },
  ],
})

const watched: { witness?: CriWitness } = {}
beforeAll(() => {
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
})
afterAll(async () => await watched.witness?.close())

test(`${count} of them, seed ${seed}`, { timeout: 120_000 + count * 5_000 }, async () => {
  const { api, running, signal, until, pod } = told.current
  const spillwayPid = await running.componentPid('spillway')
  await create(named('neighbour'))
  await until('the neighbour is ready', () => isReady(pod('neighbour')))
  const all = oddPods(plain, { seed, count })
  const untold: object[] = []
  let refusedByApiServer = 0
  for (let at = 0; at < all.length; at += atOnce) {
    const batch = all.slice(at, at + atOnce)
    const accepted = await Promise.all(batch.map(async (odd) => ((await create(odd.pod)) ? odd : undefined)))
    const there = accepted.filter((odd) => odd !== undefined)
    refusedByApiServer += batch.length - there.length
    await create(named(`plain-${at}`))
    await until('a plain Pod among them is ready', () => isReady(pod(`plain-${at}`)))
    for (const odd of there) {
      const settles = until(describeOdd(odd), async () => await isSettled(odd), 30_000)
      await settles.catch(async () => untold.push({ odd: describeOdd(odd), said: await sayings(odd) }))
    }
    await removeAllBut('neighbour')
  }
  expect(untold).toEqual([])
  process.stdout.write(`odd Pods: ${count}, of which the API server refused ${refusedByApiServer}\n`)
  expect(await running.componentPid('spillway')).toBe(spillwayPid)
  expect(isReady(pod('neighbour'))).toBe(true)
  expect(pod('neighbour')?.status?.containerStatuses?.[0]?.restartCount).toBe(0)
  await api.delete(pods, { namespace, name: 'neighbour' }, {}, signal)
  const left = async (): Promise<readonly string[]> => (await watched.witness?.present(namespace)) ?? []
  await until('containerd has no sandbox of them', async () => (await left()).length === 0, 150_000)
})

function named(name: string): Pod {
  return { ...plain, metadata: { ...plain.metadata, name } }
}

/** False when the API server does not take it. */
async function create(pod: Pod): Promise<boolean> {
  try {
    await told.current.api.create(pods, pod, told.current.signal)
    return true
  } catch (error) {
    if (hasCode(error, 'Invalid') || hasCode(error, 'Forbidden')) return false
    throw error
  }
}

async function isSettled(odd: OddPod): Promise<boolean> {
  const now = told.current.pod(odd.pod.metadata?.name ?? '')
  const bad = odd.oddities.filter(({ told: what }) => what !== undefined)
  if (bad.length === 0) {
    const { phase = '' } = now?.status ?? {}
    return isReady(now) || ['Succeeded', 'Failed'].includes(phase)
  }
  const said = await sayings(odd)
  return bad.some(({ told: what = '' }) =>
    said.some((text) => (typeof what === 'string' ? text.includes(what) : what.test(text))),
  )
}

/** Every message about a Pod. */
async function sayings({ pod: { metadata } }: OddPod): Promise<readonly string[]> {
  const { api, signal } = told.current
  const pod = told.current.pod(metadata?.name ?? '')
  const fieldSelector = `involvedObject.name=${metadata?.name}`
  const { items } = await api.list(events, { namespace, fieldSelector }, signal)
  const { message = '', reason = '', conditions = [] } = pod?.status ?? {}
  const containers = [
    ...(pod?.status?.containerStatuses ?? []),
    ...(pod?.status?.initContainerStatuses ?? []),
  ].flatMap(({ state, lastState }) => [state?.waiting, state?.terminated, lastState?.terminated])
  return [
    ...items.map((event) => `${event.reason}: ${event.message}`),
    `${reason}: ${message}`,
    ...conditions.map((condition) => condition.message ?? ''),
    ...containers.map((state) => `${state?.reason}: ${state?.message}`),
  ]
}

function describeOdd({ pod, oddities: chosen }: OddPod): string {
  return `${pod.metadata?.name} (${chosen.map(({ name }) => name).join(', ')})`
}

async function removeAllBut(name: string): Promise<void> {
  const { api, signal, until } = told.current
  const others = (): readonly Pod[] => told.current.pods().filter(({ metadata }) => metadata?.name !== name)
  for (const { metadata } of others()) {
    await api.delete(pods, { namespace, name: metadata?.name ?? '' }, { graceSeconds: 1 }, signal)
  }
  await until('the others are gone', () => others().length === 0)
}
