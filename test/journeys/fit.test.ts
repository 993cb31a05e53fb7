/** What our fit check says of every node, and what the real kube-scheduler then does: generated Pods and volumes on generated nodes. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { keepLease } from '../../src/kube/lease.ts'
import { nodes, pods } from '../../src/kube/resources.ts'
import { kubeTime, systemClock } from '../../src/model/clock.ts'
import type { Container, Node, Pod, PodSpec, Taint, Toleration, Volume } from '../../src/model/kubernetes.ts'
import { pictureOf, type NodeRoom } from '../../src/scheduling/cluster-picture.ts'
import { fitOn } from '../../src/scheduling/fit.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { furnishVolumes, someVolume, TestVolumes } from '../support/volume-samples.ts'
import { until } from '../support/until.ts'
import { partOptions, testClient, type TestClient } from '../support/small-cluster.ts'

const count = Number(process.env['SPILLWAY_FIT_PODS'] ?? 120)
const seed = Number(process.env['SPILLWAY_SEED'] ?? 20_261_128)
const namespace = 'fitting'
const nodeCount = 12
/** More, and the nodes would be full: then nothing but "no" would be compared. */
const mostBound = 20

const ending = new AbortController()
const { signal } = ending
let plane: TestControlPlane
let api: TestClient
let volumes: TestVolumes
/** Names of Pods that have one. */
const withVolume = new Set<string>()

beforeAll(async () => {
  plane = await startTestControlPlane()
  api = testClient(explicitCredentials(plane.controlPlane.admin), 'journey')
  for (const [index, made] of fc.sample(someNode, { seed, numRuns: nodeCount }).entries()) {
    await addNode(nodeOf(`node-${index}`, made))
  }
  await createNamespace(api, { name: namespace }, signal)
  await furnishVolumes(api, namespace, signal)
  volumes = new TestVolumes(api, namespace, signal)
  await until(
    'all nodes take Pods',
    async () => {
      const { items } = await api.list(nodes, {}, signal)
      return items.every(
        ({ spec }) => !spec?.taints?.some(({ key }) => key === 'node.kubernetes.io/not-ready'),
      )
    },
    signal,
  )
})

afterAll(async () => {
  ending.abort()
  await api?.close()
  await plane?.[Symbol.asyncDispose]()
})

test(
  `${count} Pods, seed ${seed}: the scheduler takes a node of ours, or none where we have none`,
  { timeout: 900_000 },
  async () => {
    const differences: unknown[] = []
    const none = { bound: 0, refused: 0 }
    const outcomes = { ...none, spread: { ...none }, company: { ...none }, volume: { ...none } }
    const bound: string[] = []
    for (const [index, made] of fc.sample(somePod, { seed, numRuns: count }).entries()) {
      const name = `pod-${index}`
      if (made.volume) withVolume.add(name)
      const pod = podOf(name, made, made.volume && (await volumes.make(name, made.volume)))
      // As it is stored: older API servers drop what they do not know, as the resources of a Pod as a whole.
      const stored = await api.create(pods, gated(pod), signal)
      if (made.volume?.kind === 'ephemeral') await volumes.whenCame(name)
      const rooms = await roomsNow()
      await release(name)
      const fitting = rooms.filter((room) => fitOn(stored, room).kind === 'fits').map((room) => room.name)
      const chosen = await decided(name)
      const agrees = chosen === undefined ? fitting.length === 0 : fitting.includes(chosen)
      if (!agrees) differences.push({ pod: stored.spec, fitting, chosen: chosen ?? 'none' })
      const kind = chosen === undefined ? 'refused' : 'bound'
      outcomes[kind] += 1
      if (made.spread !== undefined) outcomes.spread[kind] += 1
      if (made.company !== undefined) outcomes.company[kind] += 1
      if (made.volume !== undefined) outcomes.volume[kind] += 1
      if (chosen === undefined) await remove(name)
      else bound.push(name)
      if (bound.length > mostBound) await remove(bound.shift() ?? '')
    }
    process.stderr.write(`fit: ${JSON.stringify(outcomes)}, ${differences.length} differences\n`)
    expect(differences).toEqual([])
    // The sample was one that asks.
    expect(outcomes.bound).toBeGreaterThan(count / 8)
    expect(outcomes.refused).toBeGreaterThan(count / 20)
    for (const { bound: yes, refused: no } of [outcomes.spread, outcomes.company, outcomes.volume]) {
      // Which of equal nodes the scheduler takes is chance, and moves what comes after: of a few Pods less can be asked.
      const few = count < 500 ? 0 : count / 50
      expect(yes).toBeGreaterThan(few)
      expect(no).toBeGreaterThan(few)
    }
  },
)

async function roomsNow(): Promise<readonly NodeRoom[]> {
  const [{ items: allNodes }, { items: allPods }, known] = await Promise.all([
    api.list(nodes, {}, signal),
    api.list(pods, {}, signal),
    volumes.objects(),
  ])
  const objects = { nodes: allNodes, pods: allPods, namespaces: [], services: [], volumes: known }
  const picture = pictureOf(objects)
  return [...picture.servers, ...[...picture.virtualNodes.values()].flat()]
}

/** The node that the scheduler chose; undefined when it found none. */
async function decided(name: string): Promise<string | undefined> {
  const found: { node?: string } = {}
  await until(
    `${name} is decided`,
    async () => {
      if (withVolume.has(name)) await volumes.provision(name)
      const { spec, status } = await api.get(pods, { namespace, name }, signal)
      if (spec?.nodeName) found.node = spec.nodeName
      const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
      return (
        found.node !== undefined || (scheduled?.status === 'False' && scheduled.reason === 'Unschedulable')
      )
    },
    signal,
  )
  return found.node
}

/** Nobody looks at it before it is released, so that what is foretold is about the same moment. */
function gated(pod: Pod): Pod {
  const spec = pod.spec ?? { containers: [] }
  return { ...pod, spec: { ...spec, schedulingGates: [{ name: 'example.com/asked' }] } }
}

async function release(name: string): Promise<void> {
  const patch = { type: 'merge', body: { spec: { schedulingGates: null } } } as const
  await api.patch(pods, { namespace, name }, patch, signal)
}

async function remove(name: string): Promise<void> {
  // There is no kubelet to end it.
  await api.delete(pods, { namespace, name }, { graceSeconds: 0 }, signal)
  if (withVolume.delete(name)) await volumes.removeOf(name)
}

const someNode = fc.record({
  cpu: fc.integer({ min: 1, max: 4 }),
  memoryGi: fc.integer({ min: 1, max: 8 }),
  pods: fc.integer({ min: 2, max: 12 }),
  disk: fc.constantFrom('ssd', 'hdd'),
  size: fc.constantFrom('1', '5', '10'),
  zone: fc.constantFrom('a', 'b'),
  rack: fc.constantFrom(undefined, '1', '2'),
  device: fc.integer({ min: 0, max: 2 }),
  kind: fc.constantFrom('plain', 'plain', 'plain', 'dedicated', 'cordoned', 'virtual', 'virtual', 'evicting'),
})
type SomeNode = ReturnType<typeof someNode.generate>['value']

const taints: Readonly<Record<string, readonly Taint[]>> = {
  dedicated: [{ key: 'dedicated', value: 'x', effect: 'NoSchedule' }],
  evicting: [{ key: 'maintenance', effect: 'NoExecute' }],
  virtual: [
    { key: 'spillway.dev/virtual-node', value: 'burst', effect: 'NoSchedule' },
    { key: 'spillway.dev/virtual-node', value: 'burst', effect: 'PreferNoSchedule' },
  ],
}

function nodeOf(
  name: string,
  { cpu, memoryGi, pods: places, disk, size, zone, rack, device, kind }: SomeNode,
): Node {
  const resources = {
    cpu: String(cpu),
    memory: `${memoryGi}Gi`,
    'ephemeral-storage': '10Gi',
    pods: String(places),
    ...(device > 0 && { 'example.com/device': String(device) }),
  }
  const now = kubeTime(systemClock.wallMs())
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'it is' }
  return {
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'topology.kubernetes.io/zone': zone,
        ...(rack && { rack }),
        disk,
        size,
        ...(kind === 'virtual' && { type: 'virtual-kubelet', 'spillway.dev/pool': 'burst' }),
      },
    },
    spec: { taints: [...(taints[kind] ?? [])], ...(kind === 'cordoned' && { unschedulable: true }) },
    status: {
      capacity: resources,
      allocatable: resources,
      conditions: [{ ...ready, lastHeartbeatTime: now, lastTransitionTime: now }],
    },
  }
}

async function addNode(node: Node): Promise<void> {
  const made = await api.create(nodes, node, signal)
  const nodeName = made.metadata?.name ?? ''
  void keepLease({ api, nodeName, nodeUid: () => made.metadata?.uid, ...partOptions }, signal)
}

interface Requirement {
  readonly key: string
  readonly operator: string
  readonly values?: string[]
}
const requirement = fc.constantFrom<Requirement[]>(
  { key: 'disk', operator: 'In', values: ['ssd', 'nvme'] },
  { key: 'disk', operator: 'NotIn', values: ['ssd'] },
  { key: 'size', operator: 'Gt', values: ['4'] },
  { key: 'size', operator: 'Lt', values: ['6'] },
  { key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] },
  { key: 'type', operator: 'Exists' },
  { key: 'absent', operator: 'DoesNotExist' },
)
const toleration = fc.constantFrom<Toleration[]>(
  { operator: 'Exists' },
  { key: 'dedicated', operator: 'Equal', value: 'x', effect: 'NoSchedule' },
  { key: 'dedicated', operator: 'Equal', value: 'y', effect: 'NoSchedule' },
  { key: 'spillway.dev/virtual-node', operator: 'Equal', value: 'burst', effect: 'NoSchedule' },
  { key: 'spillway.dev/virtual-node', operator: 'Exists' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'maintenance', operator: 'Exists', effect: 'NoExecute' },
)
function seldom<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
}

const millis = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1500 }))
const mebi = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3000 }))
const somePod = fc.record({
  cpu: millis,
  memory: mebi,
  initCpu: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3000 })),
  sidecarCpu: fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 1, max: 500 })),
  wholeCpu: fc.oneof(fc.constant(0), fc.constant(0), fc.constant(0), fc.integer({ min: 1, max: 1500 })),
  device: fc.oneof(fc.constant(0), fc.constant(0), fc.constant(0), fc.integer({ min: 1, max: 2 })),
  selector: fc.oneof(fc.constant(undefined), fc.constant(undefined), fc.constantFrom('ssd', 'hdd', 'nvme')),
  terms: fc.array(fc.array(requirement, { minLength: 1, maxLength: 2 }), { maxLength: 2 }),
  tolerations: fc.array(toleration, { maxLength: 2 }),
  hostPort: fc.oneof(fc.constant(0), fc.constant(0), fc.constantFrom(8080, 8081)),
  protocol: fc.constantFrom('TCP', 'UDP'),
  hostIP: fc.constantFrom('', '10.0.0.1', '10.0.0.2'),
  app: fc.constantFrom('one', 'two'),
  spread: seldom(
    fc.record({
      topologyKey: fc.constantFrom('kubernetes.io/hostname', 'topology.kubernetes.io/zone', 'rack'),
      maxSkew: fc.integer({ min: 1, max: 2 }),
      nodeTaintsPolicy: fc.constantFrom('Honor', 'Ignore'),
      nodeAffinityPolicy: fc.constantFrom('Honor', 'Ignore'),
      minDomains: fc.constantFrom(1, 3),
    }),
  ),
  company: seldom(
    fc.record({
      kind: fc.constantFrom('podAffinity', 'podAntiAffinity'),
      topologyKey: fc.constantFrom('kubernetes.io/hostname', 'topology.kubernetes.io/zone', 'rack'),
      to: fc.constantFrom('one', 'two'),
    }),
  ),
  volume: seldom(someVolume),
})
type SomePod = ReturnType<typeof somePod.generate>['value']

function podOf(name: string, made: SomePod, volume: Volume | undefined): Pod {
  const { terms, tolerations, selector, spread, company, cpu, initCpu, sidecarCpu, wholeCpu, app } = made
  const required = { nodeSelectorTerms: terms.map((matchExpressions) => ({ matchExpressions })) }
  const labels = { app }
  const affinity = {
    ...(terms.length > 0 && { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } }),
    ...(company && {
      [company.kind]: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { labelSelector: { matchLabels: { app: company.to } }, topologyKey: company.topologyKey },
        ],
      },
    }),
  }
  const across = spread && {
    ...spread,
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: labels },
  }
  const spec: PodSpec = {
    containers: [mainContainer(made)],
    initContainers: initContainers(made),
    tolerations,
    ...(volume && { volumes: [volume] }),
    ...(selector !== undefined && { nodeSelector: { disk: selector } }),
    ...(Object.keys(affinity).length > 0 && { affinity }),
    ...(across && { topologySpreadConstraints: [across] }),
    // More than all of its containers together, which is the least that is allowed.
    ...(wholeCpu > 0 && { resources: { requests: { cpu: `${cpu + initCpu + sidecarCpu + wholeCpu}m` } } }),
  }
  return { metadata: { namespace, name, labels }, spec }
}

const image = 'registry.k8s.io/pause:3.10.2'

function mainContainer({ cpu, memory, device, hostPort, protocol, hostIP }: SomePod): Container {
  const port = { containerPort: 80, hostPort, protocol, ...(hostIP !== '' && { hostIP }) }
  const devices = device > 0 ? { 'example.com/device': String(device) } : {}
  return {
    name: 'main',
    image,
    resources: { requests: { cpu: `${cpu}m`, memory: `${memory}Mi`, ...devices }, limits: devices },
    ...(hostPort > 0 && { ports: [port] }),
  }
}

function initContainers({ initCpu, sidecarCpu }: SomePod): Container[] {
  const asking = (name: string, cpu: number): Container => ({
    name,
    image,
    resources: { requests: { cpu: `${cpu}m` } },
  })
  return [
    ...(sidecarCpu > 0 ? [{ ...asking('sidecar', sidecarCpu), restartPolicy: 'Always' }] : []),
    ...(initCpu > 0 ? [asking('init', initCpu)] : []),
  ]
}
