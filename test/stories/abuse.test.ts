/**
 * What hostile Pods do to whoever runs them, on runc and on gVisor: each is contained and told of, its neighbour answers all
 * the while, the nodes stay Ready, the machine is as it was, and nothing of it stays. `npm run security` does one after the
 * other and prints a table.
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CriClient } from '../../src/backends/cri/runtime/client.ts'
import { nodes, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import { judgeByLines, type Abuse, type Place } from '../support/abuse/abuse.ts'
import { abuses } from '../support/abuse/abuses.ts'
import { publishHostileProgram } from '../support/abuse/hostile-program.ts'
import { hostileImages } from '../support/abuse/image-abuses.ts'
import { latencyBefore, latencyCells, LatencyMeter, type Latency } from '../support/abuse/latency.ts'
import { MachineWatch } from '../support/abuse/machine-watch.ts'
import { ImagePress } from '../support/abuse/press-image.ts'
import { removePods, sayings } from '../support/abuse/sayings.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-abuse'
const told = story(namespace)
const oneByOne = process.env['SPILLWAY_ABUSE_ONE_BY_ONE'] === '1'
const only = process.env['SPILLWAY_ABUSES']?.split(',')
// Of the neighbour. While a Pod is there, its logs are cut down every two seconds: a flood of less time stays whole.
const fewLogBytes = 1 << 20
const samplesBefore = oneByOne ? 40 : 3
const lookAgainMs = oneByOne ? 500 : 100
const table = [
  '| abuse | on | contained: | neighbour, ms: median before → during | worst | within 2× (samples) |',
  '|---|---|---|---|---:|---|',
]

const ground: {
  witness?: CriWitness
  watch?: MachineWatch
  client?: CriClient
  place?: Omit<Place, 'handler' | 'story'>
} = {}

beforeAll(async () => {
  const { api, cluster, signal, until, pod } = told.current
  ground.witness = new CriWitness(cluster.virtualContainerd.socket)
  ground.client = new CriClient({ socket: cluster.virtualContainerd.socket, clock: systemClock })
  ground.watch = await MachineWatch.begin(told.current)
  const [main] = scriptPod({ namespace, name: 'neighbour' }, '').spec?.containers ?? []
  const answering = {
    ...main,
    name: 'main',
    image: 'registry.k8s.io/e2e-test-images/agnhost:2.66.1',
    command: ['/agnhost', 'netexec', '--http-port=8080'],
    readinessProbe: { httpGet: { path: '/healthz', port: 8080 } },
  }
  await api.create(
    pods,
    scriptPod({ namespace, name: 'neighbour' }, '', { ...outByHand, containers: [answering] }),
    signal,
  )
  const program = await publishHostileProgram(told.current)
  await until('the neighbour is ready', () => isReady(pod('neighbour')))
  const dir = await mkdtemp(join(tmpdir(), 'spillway-press-'))
  ground.place = {
    neighbourIp: pod('neighbour')?.status?.podIP ?? '',
    press: new ImagePress({ registryUrl: cluster.registryUrl, dir }),
    pressDir: dir,
    canary: ground.watch.canary,
    program,
    whole: oneByOne,
  }
})
afterAll(async () => {
  await ground.witness?.close()
  ground.client?.close()
  await ground.watch?.end()
  if (ground.place) await rm(ground.place.pressDir, { recursive: true, force: true })
  if (oneByOne || only) process.stdout.write(`${table.join('\n')}\n`)
})

describe.each(['runc', 'gvisor'] as const)('on %s', (handler) => {
  const chosen = abuses
    .filter(({ name }) => only?.includes(name) ?? true)
    .filter(({ likeAnywhere = false }) => oneByOne || handler === 'runc' || !likeAnywhere)
  const groups = oneByOne ? chosen.map((abuse) => [abuse]) : [chosen]
  test.each(groups.map((group) => ({ what: group.map(({ name }) => name).join(', '), group })))(
    'contains $what',
    { timeout: 400_000 },
    async ({ group }) => {
      const { signal } = told.current
      const place = placeOf(handler)
      for (const abuse of group) await abuse.prepare?.(place)
      const before = await latencyBefore(askNeighbour, samplesBefore, signal)
      const meter = new LatencyMeter(askNeighbour)
      const said: string[] = []
      let during: Latency
      try {
        for await (const one of playOut(group, place)) said.push(one)
      } finally {
        during = await meter.stop()
        await remove(group.map((abuse) => nameOf(abuse, handler)))
      }
      for (const [at, abuse] of group.entries()) {
        const of = said[at] ?? ''
        const { bad, how } = (await abuse.judge?.(of, place)) ?? judgeByLines(of, abuse.contained)
        table.push(`| ${abuse.name} | ${handler} | ${how} | ${latencyCells(before, during)} |`)
        expect({ abuse: abuse.name, bad }).toEqual({ abuse: abuse.name, bad: [] })
      }
      expect(await ground.watch?.changes()).toEqual([])
    },
  )
})

test('its neighbour was there all the time', () => {
  const neighbour = told.current.pod('neighbour')
  expect(isReady(neighbour)).toBe(true)
  expect(neighbour?.status?.containerStatuses?.[0]?.restartCount).toBe(0)
})

test('of hostile images nothing stays once they are removed', async () => {
  const { until } = told.current
  await until(
    'containerd has nothing of them',
    async () => ((await ground.watch?.unpacked()) ?? []).length === 0,
  )
})

function placeOf(handler: Place['handler']): Place {
  if (!ground.place) throw new Error('the ground is not laid')
  return { ...ground.place, story: told.current, handler }
}

function nameOf({ name }: Abuse, handler: string): string {
  return `${name}-${handler}`
}

async function begin(abuse: Abuse, place: Place): Promise<void> {
  const { api, signal } = told.current
  const { handler } = place
  const at = { namespace, name: nameOf(abuse, handler) }
  const limits = { cpu: '500m', memory: '128Mi', 'ephemeral-storage': '64Mi' }
  const requests = { cpu: '10m', memory: '16Mi' }
  const resources = { limits, requests }
  const containers = abuse.containers(place).map((container) => ({ resources, ...container }))
  const spec = { ...outByHand, ...abuse.spec?.(place), containers }
  const runtime = handler === 'gvisor' && { runtimeClassName: 'gvisor' }
  await api.create(pods, scriptPod(at, '', { ...spec, ...runtime }), signal)
}

/** Until each is contained: what was told of it then. The nodes are Ready with all of them there. */
async function* playOut(group: readonly Abuse[], place: Place): AsyncGenerator<string> {
  for (const abuse of group) await begin(abuse, place)
  for (const abuse of group) {
    const name = nameOf(abuse, place.handler)
    let said = ''
    const isContained = async (): Promise<boolean> => {
      said = await sayings(told.current, name)
      if (abuse.contained.every((pattern) => pattern.test(said))) return true
      // To look often would itself slow the neighbour's answers, which come by the same API server.
      await systemClock.sleep(lookAgainMs, told.current.signal)
      return false
    }
    await told.current.until(`${name} is contained`, isContained, 200_000).catch((cause: unknown) => {
      const missing = abuse.contained.filter((pattern) => !pattern.test(said)).join(' ')
      throw new Error(`${name} never said ${missing}, but:\n${said}`, { cause })
    })
    yield said
  }
  await nodesAreReady()
}

/** By way of the API server. */
async function askNeighbour(): Promise<unknown> {
  const { api, signal } = told.current
  return await api.getText(`/api/v1/namespaces/${namespace}/pods/neighbour:8080/proxy/healthz`, signal)
}

async function nodesAreReady(): Promise<void> {
  const { items } = await told.current.api.list(nodes, {}, told.current.signal)
  for (const { metadata, status } of items) {
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')
    expect({ node: metadata?.name, ready: ready?.status }).toEqual({ node: metadata?.name, ready: 'True' })
  }
}

/** Of all logs that Spillway keeps for this namespace; without an end while folders of them go away. */
async function logBytes(): Promise<number> {
  const root = join(told.current.cluster.spillwayDir, 'pods')
  const files = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => undefined)
  if (!files) return Number.POSITIVE_INFINITY
  const sizes = files
    .filter((file) => file.isFile() && /\.log(\.|$)/.test(file.name) && file.parentPath.includes(namespace))
    .map(async (file) => (await stat(join(file.parentPath, file.name)).catch(() => ({ size: 0 }))).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

async function remove(names: readonly string[]): Promise<void> {
  const { signal, until } = told.current
  await removePods(told.current, names)
  const left = async (): Promise<readonly string[]> => (await ground.witness?.present(namespace)) ?? []
  await until('their logs are gone', async () => (await logBytes()) < fewLogBytes)
  await until('containerd has the neighbour alone', async () => (await left()).length <= 1, 150_000)
  // Who comes next pulls them again.
  for (const { repoTags = [] } of (await ground.client?.listImages(signal)) ?? []) {
    for (const tag of repoTags.filter((name) => name.startsWith(hostileImages)))
      await ground.client?.removeImage(tag, signal)
  }
}
