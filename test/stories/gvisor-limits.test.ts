/** Limits under gVisor are the Pod's cgroup: over it, gVisor's kernel or its processes are what the machine's kernel ends. */
import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExplainedPod } from '../../src/billing/bill-explanation.ts'
import { Cgroups } from '../../src/backends/cri/resources/cgroups.ts'
import { events, pods } from '../../src/kube/resources.ts'
import type { ContainerStatus, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'
import { readBill, trueIntervals } from '../support/true-times.ts'

const namespace = 'story-gvisor-limits'
const told = story(namespace)
const watched: { witness?: CriWitness } = {}
const mib = 1n << 20n
const limits = { cpu: '500m', memory: '64Mi' }
/** Doubles what it holds until it is ended. */
const eats = 'x=a; while true; do x=$x$x; done'
/** Only the first time: the folder outlives the container, and the sandbox. */
const eatsOnce = `test -e /once/done && exec sleep 3600; touch /once/done; ${eats}`

beforeAll(() => {
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
})
afterAll(async () => await watched.witness?.close())

describe('a Pod that takes more memory than its limits say', () => {
  test('is told of as OOMKilled, and runs again as its policy says', async () => {
    await create('greedy', eatsOnce, { restartPolicy: 'Always' })
    const { until } = told.current
    await until('it has been ended for memory', () => (status('greedy')?.restartCount ?? 0) > 0, 120_000)
    await until('it runs again', () => isReady(told.current.pod('greedy')))
    const { terminated } = status('greedy')?.lastState ?? {}
    expect(terminated).toMatchObject({ reason: 'OOMKilled', exitCode: 137 })
    // Once: that its sandbox was gone is no second failure of the Pod's.
    expect(status('greedy')?.restartCount).toBe(1)
    expect(await reasonsOf('greedy')).not.toContain('Failed')
  })

  test('is over when its policy says so', async () => {
    await create('once', eats, { restartPolicy: 'Never' })
    const { until, pod } = told.current
    await until('it is over', () => pod('once')?.status?.phase === 'Failed', 120_000)
    expect(status('once')?.state?.terminated?.reason).toBe('OOMKilled')
  })

  test('is billed for each of its sandboxes, by the times of containerd', async () => {
    const { api, signal, until, pod } = told.current
    const uid = pod('greedy')?.metadata?.uid
    await api.delete(pods, { namespace, name: 'greedy' }, { graceSeconds: 0 }, signal)
    const billed = async (): Promise<readonly ExplainedPod[]> =>
      ((await readBill(told.current)).pods ?? []).filter(({ podUid }) => podUid === uid)
    await until('it is gone', () => pod('greedy') === undefined)
    await until('all of it is billed', async () => (await billed()).every(({ end }) => end !== undefined))
    const { sandboxes, containers } = watched.witness?.of(uid) ?? { sandboxes: [], containers: [] }
    // One that was made for the sandbox that was just going never ran in it.
    const ran = containers.filter(({ startedMs }) => startedMs !== undefined)
    expect((await billed()).map(({ start, end }) => ({ start, end }))).toEqual(
      trueIntervals({ sandboxes, containers: ran }).map(({ startMs, endMs }) => ({
        start: new Date(startMs).toISOString(),
        end: new Date(endMs).toISOString(),
      })),
    )
    expect((await billed()).map(({ incarnation }) => incarnation)).toEqual(sandboxes.map((_, index) => index))
  })
})

describe('the sandbox of a Pod', () => {
  test('that is lost is replaced, with all containers in the new one', async () => {
    const { until, pod, kubectl } = told.current
    await create('robbed', 'echo begun; exec sleep 3600', { restartPolicy: 'Always' })
    await until('it runs', () => isReady(pod('robbed')))
    const before = pod('robbed')?.status?.containerStatuses?.[0]?.containerID
    const uid = pod('robbed')?.metadata?.uid ?? ''
    await endSandboxProcess(uid)
    await until('it has been started again', () => (status('robbed')?.restartCount ?? 0) > 0)
    await until('it runs again', () => isReady(pod('robbed')))
    expect(status('robbed')?.containerID).not.toBe(before)
    expect(status('robbed')?.restartCount).toBe(1)
    expect((await kubectl('exec', 'robbed', '--', 'dmesg')).stdout).toContain('Starting gVisor')
    expect(watched.witness?.of(uid).sandboxes).toHaveLength(2)
  })

  test('has room for itself beside what the containers may have', async () => {
    const { pod, cluster } = told.current
    const cgroups = await Cgroups.open(cluster.cgroups.virtual)
    const uid = pod('robbed')?.metadata?.uid ?? ''
    const held = await cgroups.limits(uid, { cpuShares: 2 })
    expect(held.memoryBytes).toBeGreaterThan(64n * mib)
  })
})

describe('a Pod that is resized in place', () => {
  test('may then hold what it could not, in the same container, and its cgroup has it', async () => {
    const { api, signal, until, pod, kubectl, cluster } = told.current
    await create('grows', 'exec sleep 3600', { restartPolicy: 'Always' })
    await until('it runs', () => isReady(pod('grows')))
    const before = status('grows')?.containerID
    const resources = { requests: { cpu: '400m', memory: '256Mi' }, limits: { cpu: '800m', memory: '256Mi' } }
    const body = { spec: { containers: [{ name: 'main', resources }] } }
    const patch = { type: 'strategic', subresource: 'resize', body } as const
    await api.patch(pods, { namespace, name: 'grows' }, patch, signal)
    await until('the new size is in effect', () => status('grows')?.resources?.limits?.['memory'] === '256Mi')
    const cgroups = await Cgroups.open(cluster.cgroups.virtual)
    const held = await cgroups.limits(pod('grows')?.metadata?.uid ?? '', { cpuShares: 2 })
    expect(held.memoryBytes).toBe((256n + 48n) * mib)
    expect(held.cpuQuotaUs).toBe(81_000)
    // More than all of the size that it began with, in memory of the sandbox's own.
    const filled = await kubectl(
      'exec',
      'grows',
      '--',
      'dd',
      'if=/dev/zero',
      'of=/dev/shm/x',
      'bs=1M',
      'count=150',
    )
    expect(filled.code).toBe(0)
    expect(status('grows')).toMatchObject({ containerID: before, restartCount: 0 })
  })
})

async function create(name: string, script: string, spec: Partial<PodSpec>): Promise<void> {
  const { api, signal } = told.current
  const sealed = { ...outByHand, runtimeClassName: 'gvisor', ...spec }
  const pod = scriptPod({ namespace, name }, script, sealed)
  const [main] = pod.spec?.containers ?? []
  main!.resources = { requests: { cpu: '400m', memory: '64Mi' }, limits }
  main!.volumeMounts = [{ name: 'once', mountPath: '/once' }]
  const volumes = [{ name: 'once', emptyDir: {} }]
  await api.create(pods, { ...pod, spec: { ...pod.spec, volumes } } as Pod, signal)
}

function status(name: string): ContainerStatus | undefined {
  return told.current.pod(name)?.status?.containerStatuses?.[0]
}

async function reasonsOf(name: string): Promise<readonly (string | undefined)[]> {
  const { api, signal } = told.current
  const { items } = await api.list(
    events,
    { namespace, fieldSelector: `involvedObject.name=${name}` },
    signal,
  )
  return items.map(({ reason }) => reason)
}

/** Its one process, which is the kernel of all of its containers; runsc's arguments name the folder of the Pod's logs. */
async function endSandboxProcess(uid: string): Promise<void> {
  const found: number[] = []
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry)
    if (!(pid > 1)) continue
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.startsWith('runsc-sandbox') && command.includes(uid)) found.push(pid)
  }
  expect(found).toHaveLength(1)
  for (const pid of found) process.kill(pid, 'SIGKILL')
}
