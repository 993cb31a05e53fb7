import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { shimsOf } from '../../src/backends/cri/runtime/shims.ts'
import { deployments } from '../../src/cli/demo/manifests.ts'
import { events, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { CriWitness, type WitnessedPod } from '../support/cri-witness.ts'
import { runSpillway } from '../support/run-spillway.ts'
import { backendsReady, killSpillway, startSpillway } from '../support/spillway-process.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod, webWith } from '../support/story-manifests.ts'
import { readBill, trueIntervals } from '../support/true-times.ts'

const namespace = 'story-faults'
const told = story(namespace)
const watched: { witness?: CriWitness } = {}
const rounds = Number(process.env['SPILLWAY_ROUNDS'] ?? 3)
const outageSeconds = Number(process.env['SPILLWAY_OUTAGE_SECONDS'] ?? 20)
/** Every Pod of this story, by UID. */
const ran = new Map<string, string>()

beforeAll(() => {
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
})
afterAll(async () => await watched.witness?.close())
// What one test left dead must not fail the next.
afterEach(async () => await startSpillway(told.current))

/** How far the making of four Pods has come when Spillway is killed. */
const moments: readonly (readonly [string, (made: readonly Pod[]) => boolean])[] = [
  ['the first Pod is bound', (made) => made.some(({ spec }) => spec?.nodeName)],
  ['the first sandbox is there', (made) => made.some((pod) => seen(pod).sandboxes.length > 0)],
  ['the first container is there', (made) => made.some((pod) => seen(pod).containers.length > 0)],
  ['the first Pod is ready', (made) => made.some(isReady)],
]

describe('Spillway, killed', () => {
  test(`while it makes Pods: each is made once, ${rounds} times`, { timeout: rounds * 60_000 }, async () => {
    const { api, signal, until } = told.current
    for (let round = 0; round < rounds; round += 1) {
      const [moment, reached] = moments[round % moments.length] ?? ['', () => true]
      const name = `made-${round}`
      const made = () => podsOf(name)
      await api.create(deployments, webWith({ namespace, name }, 4, { spec: outByHand }), signal)
      await until(moment, () => reached(made()))
      await killSpillway(told.current)
      await startSpillway(told.current)
      await until('all 4 are ready', () => made().filter(isReady).length === 4)
      for (const pod of made()) await expectRanOnce(pod)
      await api.delete(deployments, { namespace, name }, { propagation: 'Background' }, signal)
      await until('they are gone', () => made().length === 0)
    }
  })

  test('while they run: they go on, and what happened meanwhile is caught up with', async () => {
    const { api, signal, until } = told.current
    await api.create(deployments, webWith({ namespace, name: 'web' }, 2, { spec: outByHand }), signal)
    const forever = 'exec sleep 3600'
    const tasks = { ends: 'sleep 3; echo done', deleted: forever, forced: forever }
    for (const [name, script] of Object.entries(tasks)) {
      await api.create(pods, scriptPod({ namespace, name }, script, outByHand), signal)
    }
    await until(
      'all 5 run',
      () => ['web', ...Object.keys(tasks)].flatMap(podsOf).filter(isReady).length === 5,
    )
    const before = webContainers()
    const forced = note(told.current.pod('forced'))
    await killSpillway(told.current)
    await api.delete(pods, { namespace, name: 'deleted' }, { graceSeconds: 1 }, signal)
    await api.delete(pods, { namespace, name: 'forced' }, { graceSeconds: 0 }, signal)
    await until(
      'the task has ended',
      () => seen(told.current.pod('ends')).containers[0]?.state === 'CONTAINER_EXITED',
    )
    await expectServing()
    await startSpillway(told.current)
    await until('its end is told', () => told.current.pod('ends')?.status?.phase === 'Succeeded')
    await until('the deleted Pod is gone', () => told.current.pod('deleted') === undefined)
    expect(webContainers()).toEqual(before)
    for (const pod of told.current.pods()) await expectRanOnce(pod)
    // Its object is gone for good: that is for the sweep to find, which takes its time. The last test waits for it.
    expect(await presentUids()).toContain(forced)
  })

  test('while it ends a Pod: the grace goes on, and the Pod ends once', async () => {
    const { api, kubectl, signal, until } = told.current
    const script = 'trap "echo asked; sleep 4; exit 0" TERM; echo up; while true; do sleep 0.1; done'
    const name = 'slow-to-end'
    const slow = scriptPod({ namespace, name }, script, { ...outByHand, terminationGracePeriodSeconds: 30 })
    await api.create(pods, slow, signal)
    await until('it is up', async () => (await kubectl('logs', name)).stdout.includes('up'))
    const uid = note(told.current.pod(name))
    await api.delete(pods, { namespace, name }, {}, signal)
    await until('it was asked to end', async () => (await kubectl('logs', name)).stdout.includes('asked'))
    await killSpillway(told.current)
    expect(seenUid(uid).containers.map(({ state }) => state)).toEqual(['CONTAINER_RUNNING'])
    await startSpillway(told.current)
    await until('it is gone', () => told.current.pod(name) === undefined)
    expect(seenUid(uid).containers).toEqual([
      expect.objectContaining({ attempt: 0, state: 'CONTAINER_EXITED', exitCode: 0 }),
    ])
  })
})

describe('what Spillway stands on, killed', () => {
  test(
    `the API server, for ${outageSeconds} s: Pods serve, and all is told after`,
    { timeout: (outageSeconds + 300) * 1000 },
    async () => {
      const { api, running, signal, until } = told.current
      const task = scriptPod({ namespace, name: 'quiet' }, 'sleep 3; exit 4', outByHand)
      await api.create(pods, task, signal)
      await until('the task runs', () => told.current.pod('quiet')?.status?.phase === 'Running')
      const before = webContainers()
      await running.killComponent('kube-apiserver', signal)
      try {
        await until(
          'the task has ended',
          () => seen(told.current.pod('quiet')).containers[0]?.state === 'CONTAINER_EXITED',
        )
        await systemClock.sleep(outageSeconds * 1000, signal)
        await expectServing()
      } finally {
        await running.startComponent('kube-apiserver', signal)
      }
      await until('the end of the task is told', () => told.current.pod('quiet')?.status?.phase === 'Failed')
      expect(told.current.pod('quiet')?.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(4)
      await until('2 web Pods are ready', () => podsOf('web').filter(isReady).length === 2)
      expect(webContainers()).toEqual(before)
      await api.create(pods, scriptPod({ namespace, name: 'after' }, 'exec sleep 3600', outByHand), signal)
      // The scheduler's own watches may back off to a minute after an outage of this length.
      await until('a new Pod is ready', () => isReady(told.current.pod('after')), 120_000)
      for (const pod of told.current.pods()) await expectRanOnce(pod)
    },
  )

  test('containerd: what runs goes on, and is taken over', async () => {
    const { api, running, signal, until } = told.current
    const before = webContainers()
    await running.killComponent('containerd-virtual', signal)
    try {
      await expectServing()
    } finally {
      await running.startComponent('containerd-virtual', signal)
    }
    await until('the nodes are well', async () => await backendsReady(told.current))
    await until('2 web Pods are ready', () => podsOf('web').filter(isReady).length === 2)
    await api.create(pods, scriptPod({ namespace, name: 'next' }, 'exit 0', outByHand), signal)
    await until('a new Pod runs to its end', () => told.current.pod('next')?.status?.phase === 'Succeeded')
    expect(webContainers()).toEqual(before)
    for (const pod of told.current.pods()) await expectRanOnce(pod)
  })

  test(
    'shims, which hang: Pods that are to end do, and those that go on have another sandbox',
    { timeout: 240_000 },
    async () => {
      const { api, signal, until } = told.current
      // Which a shim that hangs does not carry out.
      const livenessProbe = { exec: { command: ['true'] }, periodSeconds: 1, failureThreshold: 2 }
      const goesOn = { livenessProbe, resources: { requests: { cpu: '10m', memory: '16Mi' } } }
      const [ending, goingOn] = [
        ['ends-on-runc', 'ends-on-gvisor'],
        ['on-runc', 'on-gvisor'],
      ]
      const names = [...ending, ...goingOn]
      for (const name of names) {
        const made = scriptPod({ namespace, name }, 'exec sleep 3600', {
          ...outByHand,
          restartPolicy: 'Always',
          terminationGracePeriodSeconds: 1,
          ...(name.endsWith('gvisor') && { runtimeClassName: 'gvisor' }),
        })
        const containers = (made.spec?.containers ?? []).map((container) => ({
          ...container,
          ...(goingOn.includes(name) && goesOn),
        }))
        await api.create(pods, { ...made, spec: { ...made.spec, containers } }, signal)
      }
      await until('they run', () => names.every((name) => isReady(told.current.pod(name))))
      const uids = names.map((name) => note(told.current.pod(name)))
      const sandboxes = uids.flatMap((uid) => seenUid(uid).sandboxes)
      const shims = (await Promise.all(sandboxes.map(({ id }) => shimsOf(id)))).flat()
      expect(shims).toHaveLength(names.length)
      for (const pid of shims) process.kill(pid, 'SIGSTOP')
      for (const name of ending) await api.delete(pods, { namespace, name }, {}, signal)
      await until('they are gone', () => ending.every((name) => !told.current.pod(name)), 120_000)
      const restarted = (name: string): boolean => {
        const pod = told.current.pod(name)
        return isReady(pod) && pod?.status?.containerStatuses?.[0]?.restartCount === 1
      }
      await until('the others run again', () => goingOn.every(restarted), 150_000)
      expect((await Promise.all(sandboxes.map(({ id }) => shimsOf(id)))).flat()).toEqual([])
      const { items } = await api.list(events, { namespace }, signal)
      const ofShims = items.filter(({ message = '' }) => /shim \(process \d+\) does not answer/.test(message))
      expect(new Set(ofShims.map(({ involvedObject }) => involvedObject?.name))).toEqual(new Set(names))
    },
  )
})

describe('after all that', () => {
  test('nothing is left, and every Pod is billed by the times that containerd saw', async () => {
    const { api, signal, until } = told.current
    await api.delete(deployments, { namespace, name: 'web' }, { propagation: 'Background' }, signal)
    for (const { metadata } of told.current.pods()) {
      const name = metadata?.name ?? ''
      note(told.current.pod(name))
      if (!name.startsWith('web-')) await api.delete(pods, { namespace, name }, {}, signal)
    }
    await until('no Pod is left', () => told.current.pods().length === 0)
    await until('containerd has no sandbox of them', async () => (await presentUids()).length === 0, 150_000)
    const bill = await readBill(told.current)
    expect(bill.rows.filter((row) => ran.has(row.podUid ?? '') && (row.open || row.estimated))).toEqual([])
    const billed = (bill.pods ?? []).filter(({ podUid }) => ran.has(podUid))
    expect(new Set(billed.map(({ podUid }) => podUid))).toEqual(new Set(ran.keys()))
    for (const [uid, name] of ran) {
      const own = billed.filter(({ podUid }) => podUid === uid)
      const intervals = own.map(({ start, end }) => ({
        startMs: Date.parse(start),
        endMs: Date.parse(end ?? ''),
      }))
      const witnessed = seenUid(uid)
      expect(intervals, JSON.stringify({ name, witnessed })).toEqual(trueIntervals(witnessed))
    }
    const { code, stdout } = await runSpillway('--name', told.current.cluster.name, 'ledger', 'verify')
    expect({ code, stdout }).toMatchObject({ code: 0 })
    process.stdout.write(
      `faults: ${ran.size} Pods, each billed to the millisecond of containerd's own times\n`,
    )
  })
})

function podsOf(app: string): readonly Pod[] {
  return told.current.pods().filter(({ metadata }) => metadata?.labels?.['app'] === app)
}

function seen(pod: Pod | undefined): WitnessedPod {
  return seenUid(pod?.metadata?.uid ?? '')
}

function seenUid(uid: string): WitnessedPod {
  return watched.witness?.of(uid) ?? { sandboxes: [], containers: [] }
}

function note(pod: Pod | undefined): string {
  const { uid = '', name = '' } = pod?.metadata ?? {}
  ran.set(uid, name)
  return uid
}

/** One container ever ran of the one in its spec, it lives in one sandbox, and the API server says the same. */
async function expectRanOnce(pod: Pod): Promise<void> {
  const uid = note(pod)
  const containers = seenUid(uid).containers.filter(({ startedMs }) => startedMs !== undefined)
  const ready = await watched.witness?.present(namespace, { ready: true })
  expect(ready?.filter((present) => present === uid)).toHaveLength(isOver(pod) ? 0 : 1)
  expect(containers.map(({ name, attempt }) => `${name} ${attempt}`)).toEqual([
    `${pod.spec?.containers[0]?.name} 0`,
  ])
  const [status] = pod.status?.containerStatuses ?? []
  expect(status).toMatchObject({ restartCount: 0, containerID: `containerd://${containers[0]?.id}` })
}

function isOver({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

/** Pod UID to container id. */
function webContainers(): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(
    podsOf('web').map(({ metadata, status }) => [metadata?.uid, status?.containerStatuses?.[0]?.containerID]),
  )
}

/** Asks each web Pod by its address for its name, from inside the cluster's network. */
async function expectServing(): Promise<void> {
  const { running, signal } = told.current
  const web = podsOf('web')
  expect(web).toHaveLength(2)
  for (const { metadata, status } of web) {
    const ask = `fetch("http://${status?.podIP}:8080/hostname").then((a) => a.text()).then((name) => process.stdout.write(name))`
    const { stdout } = await running.exec([process.execPath, '-e', ask], signal)
    expect(stdout).toBe(metadata?.name)
  }
}

async function presentUids(): Promise<readonly string[]> {
  return (await watched.witness?.present(namespace)) ?? []
}
