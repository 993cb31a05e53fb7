/** A disk that a Pod fills to the last byte, or the last file: images, volumes and the ledger lie on it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nodes, pods } from '../../src/kube/resources.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { runSpillway } from '../support/run-spillway.ts'
import { startSharedCluster, storyHandler } from '../support/shared-cluster.ts'
import { backendsReady, killSpillway, startSpillway } from '../support/spillway-process.ts'
import { isReady, story } from '../support/story.ts'
import { scriptPod } from '../support/story-manifests.ts'
import { readBill, trueTimes } from '../support/true-times.ts'

const namespace = 'story-disk-full'
// Of which the embedded cluster wants 1 GiB left.
const diskMebibytes = 2300
const diskFiles = 60_000
const disk = '/run/small-disk'
const forever = 'while true; do sleep 0.1; done'
const watched: { witness?: CriWitness } = {}

const told = story(
  namespace,
  async () => await startSharedCluster({ name: `disk-${process.pid}`, serverNode: false }),
)
beforeAll(async () => {
  await moveToSmallDisk()
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
})
afterAll(async () => await watched.witness?.close())

/** As many as there may be, for as long as it is let: what others remove is taken, too. */
const emptyFiles = (dir: string): string =>
  `mkdir -p ${dir}; i=0; while sleep 0; do while true > ${dir}/$i; do i=$((i + 1)); done 2> /dev/null; sleep 0.1; done`

const bytes = 'ephemeral-storage\\. Threshold quantity: 1Gi'
const files = `inodes\\. Threshold quantity: ${diskFiles / 20_000}k`
const places = [
  ['bytes in its volume', 'cat /dev/zero > /cache/file', bytes],
  ['bytes in its own layer', 'cat /dev/zero > /file', bytes],
  ['empty files in its volume', emptyFiles('/cache'), files],
  // gVisor keeps a layer in one file.
  ...(storyHandler === 'runc' ? [['empty files in its own layer', emptyFiles('/many'), files] as const] : []),
] as const

test.each(places)(
  'a Pod that fills the disk with %s costs nobody else anything',
  { timeout: 400_000 },
  async (what, fill, short) => {
    const { api, signal, until } = told.current
    const suffix = what.replaceAll(' ', '-')
    const [hog, layer, next] = [`hog-of-${suffix}`, `layer-${suffix}`, `next-${suffix}`]
    if (!told.current.pod('neighbour')) await create('neighbour', `echo up; ${forever}`)
    await create(layer, `head -c 100m /dev/zero > /file; exit 5`)
    await until('the first has ended', () => told.current.pod(layer)?.status?.phase === 'Failed')
    await until('the neighbour is ready', () => isReady(told.current.pod('neighbour')))
    const before = told.current.pod('neighbour')?.status?.containerStatuses

    await api.create(pods, hogPod(hog, fill), signal)
    await until('the hog runs', () => isReady(told.current.pod(hog)))
    await until('room is set aside', hasReserve)
    // Nobody is there to end it in time.
    await killSpillway(told.current)
    await until('the disk is full', async () => await isFull())
    await told.current.running.startComponent('spillway', signal)
    await until('the hog has failed', () => told.current.pod(hog)?.status?.phase === 'Failed', 150_000)
    // What it tells of its spending it has from the ledger, which cannot be read before.
    await startSpillway(told.current)
    const { reason, message, conditions } = told.current.pod(hog)?.status ?? {}
    expect({ reason, message }).toEqual({
      reason: 'Evicted',
      message: expect.stringMatching(new RegExp(`^The node was low on resource: ${short}, available: `)),
    })
    expect(conditions).toContainEqual(
      expect.objectContaining({ type: 'DisruptionTarget', reason: 'TerminationByKubelet', status: 'True' }),
    )

    await until('the node has room again', async () => !(await underPressure()))
    expect(told.current.pod('neighbour')?.status?.containerStatuses).toEqual(before)
    await create(next, 'exit 0')
    await until('a new Pod runs', () => told.current.pod(next)?.status?.phase === 'Succeeded')
    // What it wrote was given back for the others; that it was there, and how it ended, is still known.
    expect(await containersOf(layer)).toEqual([])
    expect(told.current.pod(layer)?.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(5)
    expect((await told.current.kubectl('logs', 'neighbour')).stdout).toBe('up\n')
  },
)

test('leaves no trace, and every Pod billed by the times that containerd saw', async () => {
  const { api, signal, until } = told.current
  const ran = told.current
    .pods()
    .map(({ metadata }) => ({ uid: metadata?.uid ?? '', name: metadata?.name ?? '' }))
  expect(ran).toHaveLength(1 + 3 * places.length)
  for (const { name } of ran) await api.delete(pods, { namespace, name }, {}, signal)
  await until('no Pod is left', () => told.current.pods().length === 0)
  await until(
    'containerd has no sandbox',
    async () => (await watched.witness?.present(namespace))?.length === 0,
  )
  const bill = await readBill(told.current)
  const times = Object.fromEntries(
    (bill.pods ?? []).map(({ podUid, start, end }) => [podUid, { start, end }]),
  )
  const seen = (uid: string) => watched.witness?.of(uid) ?? { sandboxes: [], containers: [] }
  expect(times).toEqual(Object.fromEntries(ran.map(({ uid }) => [uid, trueTimes(seen(uid))])))
  expect(bill.rows.filter(({ open, estimated }) => open || estimated)).toEqual([])
  const { code, stdout } = await runSpillway('--name', told.current.cluster.name, 'ledger', 'verify')
  expect({ code, stdout }).toMatchObject({ code: 0 })
})

const outByHand = {
  nodeSelector: { 'kubernetes.io/hostname': 'burst-0' },
  tolerations: [{ operator: 'Exists', effect: 'NoSchedule' }],
}

async function create(name: string, script: string): Promise<void> {
  const { api, signal } = told.current
  await api.create(pods, scriptPod({ namespace, name }, script, outByHand), signal)
}

function hogPod(name: string, fill: string): Pod {
  const pod = scriptPod({ namespace, name }, `sleep 15; ${fill}; ${forever}`, outByHand)
  const containers = (pod.spec?.containers ?? []).map((container) => ({
    ...container,
    volumeMounts: [{ name: 'cache', mountPath: '/cache' }],
  }))
  return { ...pod, spec: { ...pod.spec, containers, volumes: [{ name: 'cache', emptyDir: {} }] } }
}

/** Puts all that the virtual nodes keep on a disk of its own, inside the cluster's namespaces and gone with them. */
async function moveToSmallDisk(): Promise<void> {
  const { cluster, running, signal, until } = told.current
  await running.killComponent('spillway', signal)
  await running.killComponent('containerd-virtual', signal)
  const { rootDir } = cluster.virtualContainerd
  const script = `
    mkdir -p ${disk}
    mount -t tmpfs -o size=${diskMebibytes}m,nr_inodes=${diskFiles},mode=755 small-disk ${disk}
    for dir in ${cluster.spillwayDir} ${rootDir}; do
      place=${disk}/$(basename $dir)
      cp -a $dir $place
      mount --bind $place $dir
    done`
  const { exitCode: code, stderr } = await running.exec(['sh', '-ec', script], signal)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  await running.startComponent('containerd-virtual', signal)
  await startSpillway(told.current)
  await until('the nodes are well', async () => await backendsReady(told.current))
}

/** Of bytes or of files. */
async function isFull(): Promise<boolean> {
  const { running, signal } = told.current
  const { stdout } = await running.exec(['stat', '--file-system', '--format', '%a %d', disk], signal)
  const [blocks = NaN, inodes = NaN] = stdout.trim().split(' ').map(Number)
  return blocks === 0 || inodes < 10
}

/** What a node keeps for the end of the Pod that fills its disk. */
async function hasReserve(): Promise<boolean> {
  const { cluster, running, signal } = told.current
  const { stdout } = await running.exec(
    ['find', `${cluster.spillwayDir}/pods/reserve`, '-type', 'f', '-size', '256k'],
    signal,
  )
  return stdout.trim().split('\n').length === 64
}

async function underPressure(): Promise<boolean> {
  const { api, signal } = told.current
  const { status } = await api.get(nodes, { name: 'burst-0' }, signal)
  return (
    status?.conditions?.some(({ type, status: value }) => type === 'DiskPressure' && value === 'True') ??
    false
  )
}

async function containersOf(name: string): Promise<readonly unknown[]> {
  const uid = told.current.pod(name)?.metadata?.uid ?? ''
  return (await watched.witness?.listed(uid)) ?? []
}
