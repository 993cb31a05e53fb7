import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ExplainedPod } from '../../src/billing/bill-explanation.ts'
import type { Bill } from '../../src/billing/invoice.ts'
import type { StatusView } from '../../src/console/api/contract.ts'
import { nodes, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { ContainerStatus, Pod, PodCondition, PodSpec } from '../../src/model/kubernetes.ts'
import { trueNanos } from '../support/billing-oracle.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { runSpillway } from '../support/run-spillway.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-resize'
const told = story(namespace)
const watched: { witness?: CriWitness } = {}
// The cells of Tencent's table that hold what these Pods ask for, and its prices.
const half = { cores: '0.5', gib: '1' }
const two = { cores: '2', gib: '4' }
const prices = [{ fromMs: 0, core: '0.000004976', gib: '0.000002073' }]

beforeAll(() => {
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
})
afterAll(async () => await watched.witness?.close())
// What one test left dead must not fail the next.
afterEach(async () => await startSpillway())

describe('a Pod that is resized in place', () => {
  test('runs on in the same container with more, and then with less', async () => {
    await start('web', { cpu: '400m', memory: '64Mi' })
    const before = container('web')
    await patch('web', { cpu: '2', memory: '128Mi' })
    await isInEffect('web', { cpu: '2', memory: '128Mi' })
    await patch('web', { cpu: '400m', memory: '64Mi' })
    await isInEffect('web', { cpu: '400m', memory: '64Mi' })
    expect(container('web')).toMatchObject({
      containerID: before?.containerID,
      restartCount: 0,
      allocatedResources: { cpu: '400m', memory: '64Mi' },
    })
    const once = ['ResizeStarted', 'ResizeCompleted']
    await isTold('web', [...once, ...once])
  })

  test('has to wait for room, says so, and gets it when another Pod goes', async () => {
    const { api, signal, until } = told.current
    const here: Partial<PodSpec> = {
      ...outByHand,
      nodeSelector: { ...outByHand.nodeSelector, 'kubernetes.io/hostname': 'burst-0' },
    }
    const { status } = await api.get(nodes, { name: 'burst-0' }, signal)
    const cores = Number(status?.allocatable?.['cpu'])
    await start('filler', { cpu: String(cores - 1), memory: '64Mi' }, here)
    await start('grows', { cpu: '400m', memory: '64Mi' }, here)
    await patch('grows', { cpu: '2', memory: '64Mi' })
    await until('it waits', () => condition('grows', 'PodResizePending') !== undefined)
    expect(condition('grows', 'PodResizePending')).toMatchObject({
      status: 'True',
      reason: 'Deferred',
      observedGeneration: 2,
      message: expect.stringContaining('cpu'),
    })
    expect(container('grows')).toMatchObject({ allocatedResources: { cpu: '400m' } })
    await killSpillway()
    await startSpillway()
    expect(condition('grows', 'PodResizePending')).toMatchObject({ reason: 'Deferred' })
    await api.delete(pods, { namespace, name: 'filler' }, {}, signal)
    await isInEffect('grows', { cpu: '2', memory: '64Mi' })
    expect(condition('grows', 'PodResizePending')).toBeUndefined()
    await isTold('grows', ['ResizeDeferred', 'ResizeStarted', 'ResizeCompleted'])
  })

  test('keeps memory that is in use, over a crash of ours too, and is not billed for what it did not get', async () => {
    const { until } = told.current
    // As files in memory: a shell that is to hold as much is not done with it in a minute under gVisor.
    const script = 'head -c 40000000 /dev/zero > /dev/shm/held; touch /tmp/up; while true; do sleep 0.1; done'
    await start('holds', { cpu: '400m', memory: '200Mi' }, {}, script)
    await until('it holds its memory', async () => {
      const { code } = await told.current.kubectl('exec', 'holds', '--', 'test', '-e', '/tmp/up')
      return code === 0
    })
    await patch('holds', { cpu: '2', memory: '16Mi' })
    const failed = (): PodCondition | undefined => condition('holds', 'PodResizeInProgress')
    await until('it says why not', () => failed()?.reason === 'Error')
    expect(failed()?.message).toContain('cannot decrease memory limits')
    await killSpillway()
    await startSpillway()
    expect(failed()).toMatchObject({ reason: 'Error', observedGeneration: 2 })
    await patch('holds', { cpu: '400m', memory: '256Mi' })
    await isInEffect('holds', { cpu: '400m', memory: '256Mi' })
    expect(container('holds')).toMatchObject({ restartCount: 0 })
  })
})

describe('the bill of resized Pods', () => {
  test('has each size from when it was set aside, or given back, to the nano-unit', async () => {
    const { api, signal, until } = told.current
    const uids = Object.fromEntries(told.current.pods().map((pod) => [pod.metadata?.name, uidOf(pod)]))
    for (const name of Object.keys(uids)) await api.delete(pods, { namespace, name }, {}, signal)
    await until('they are gone', () => told.current.pods().length === 0)
    const bill = await readBill()
    const billed = (name: string): ExplainedPod => {
      const [one, ...others] = (bill.pods ?? []).filter(({ podUid }) => podUid === uids[name])
      if (!one || others.length > 0)
        throw new Error(`${name} is billed ${others.length} times more than once`)
      return one
    }
    expect(billed('holds').sizes).toBeUndefined()
    const web = billed('web')
    const fromMs = (web.sizes ?? []).map(({ from }) => Date.parse(from))
    expect((web.sizes ?? []).map(({ spec }) => spec)).toEqual([
      '0.5 cores, 1 GiB',
      '2 cores, 4 GiB',
      '0.5 cores, 1 GiB',
    ])
    // More is paid for from before it is there; less only once it is.
    const [asked, given] = patches['web'] ?? []
    expect(fromMs[1]).toBeGreaterThanOrEqual(asked?.askedMs ?? Infinity)
    expect(fromMs[1]).toBeLessThanOrEqual(asked?.seenMs ?? 0)
    expect(fromMs[2]).toBeGreaterThanOrEqual(given?.askedMs ?? Infinity)
    expect(fromMs[2]).toBeLessThanOrEqual(given?.seenMs ?? 0)
    const row = bill.rows.find(({ podUid }) => podUid === uids['web'])
    const life = trueLife(uids['web'] ?? '')
    const held = [half, two, half].map((size, index) => ({ fromMs: fromMs[index] ?? NaN, ...size }))
    expect(fromMs[0]).toBe(life.startMs)
    expect(nanos(row?.amount ?? '')).toBe(trueNanos({ ...life, held }, prices))
    expect((await runSpillway('--name', told.current.cluster.name, 'ledger', 'verify')).code).toBe(0)
  })
})

interface Size {
  readonly cpu: string
  readonly memory: string
}

/** Of every patch when it was sent, and when its end was seen. */
const patches: Record<string, { readonly askedMs: number; seenMs?: number }[]> = {}

async function start(
  name: string,
  size: Size,
  spec: Partial<PodSpec> = outByHand,
  script = 'while true; do sleep 0.1; done',
): Promise<void> {
  const { api, signal, until } = told.current
  const pod = scriptPod({ namespace, name }, script, { ...outByHand, ...spec })
  const containers = (pod.spec?.containers ?? []).map((one) => ({
    ...one,
    resources: { requests: { ...size }, limits: { ...size } },
  }))
  await api.create(pods, { ...pod, spec: { ...pod.spec, containers } }, signal)
  await until(`${name} is ready`, () => isReady(told.current.pod(name)))
}

async function patch(name: string, size: Size): Promise<void> {
  const resources = { requests: size, limits: size }
  const body = JSON.stringify({ spec: { containers: [{ name: 'main', resources }] } })
  patches[name] = [...(patches[name] ?? []), { askedMs: systemClock.wallMs() }]
  const { code, stderr } = await told.current.kubectl(
    'patch',
    'pod',
    name,
    '--subresource=resize',
    '-p',
    body,
  )
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
}

async function isInEffect(name: string, size: Size): Promise<void> {
  const { until } = told.current
  await until(`${name} has its size`, () => {
    const { metadata, status } = told.current.pod(name) ?? {}
    const resources = JSON.stringify(container(name)?.resources?.limits)
    const isDone = !status?.conditions?.some(({ type }) => type.startsWith('PodResize'))
    return isDone && status?.observedGeneration === metadata?.generation && resources === JSON.stringify(size)
  })
  const last = patches[name]?.at(-1)
  if (last) last.seenMs = systemClock.wallMs()
}

function container(name: string): ContainerStatus | undefined {
  return told.current.pod(name)?.status?.containerStatuses?.[0]
}

function condition(name: string, type: string): PodCondition | undefined {
  return told.current.pod(name)?.status?.conditions?.find((one) => one.type === type)
}

/** By events about its resizes, in that order. */
async function isTold(name: string, reasons: readonly string[]): Promise<void> {
  const { kubectl, until } = told.current
  const list = async (): Promise<string[]> => {
    const { stdout } = await kubectl(
      'get',
      'events',
      `--field-selector=involvedObject.name=${name}`,
      '--sort-by=.metadata.creationTimestamp',
      '-o',
      'jsonpath={range .items[*]}{.reason}{"\\n"}{end}',
    )
    return stdout.split('\n').filter((reason) => reason.startsWith('Resize'))
  }
  await until('its last resize is told', async () => (await list()).length >= reasons.length)
  expect(await list()).toEqual(reasons)
}

async function killSpillway(): Promise<void> {
  await told.current.running.killComponent('spillway', told.current.signal)
}

async function startSpillway(): Promise<void> {
  const { running, signal, until, admin } = told.current
  await running.startComponent('spillway', signal)
  const isUp = async (): Promise<boolean> => {
    try {
      return ((await admin('/v1/status')) as StatusView).nodes.every(({ ready }) => ready)
    } catch {
      return false
    }
  }
  await until('Spillway is up again', isUp)
}

async function readBill(): Promise<Bill> {
  const query = { fromMs: '0', toMs: String(systemClock.wallMs()), by: 'pod' }
  return (await told.current.admin('/v1/bill', query)) as Bill
}

/** By containerd's own times. */
function trueLife(uid: string): { readonly startMs: number; readonly endMs: number } {
  const { sandboxes = [], containers = [] } = watched.witness?.of(uid) ?? {}
  const ends = containers.map(({ finishedMs }) => finishedMs ?? Number.NaN)
  return { startMs: sandboxes[0]?.createdMs ?? Number.NaN, endMs: Math.max(...ends) }
}

function uidOf({ metadata }: Pod): string {
  return metadata?.uid ?? ''
}

/** "0.5" is 500,000,000. */
function nanos(amount: string): bigint {
  const [whole = '', fraction = ''] = amount.split('.')
  return BigInt(whole + fraction.padEnd(9, '0'))
}
