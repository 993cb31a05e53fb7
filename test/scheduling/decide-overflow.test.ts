import { describe, expect, it } from 'vitest'
import type { Node, Pod } from '../../src/model/kubernetes.ts'
import {
  decideOverflow,
  poolToleration,
  withSentPods,
  withToleration,
  type OverflowRules,
} from '../../src/scheduling/decide-overflow.ts'
import type { ClusterObjects } from '../../src/scheduling/cluster-picture.ts'
import type { OverflowDecision } from '../../src/scheduling/judgement.ts'
import {
  boundSample,
  clusterSample,
  localServiceSample,
  podSample,
  serverSample,
  virtualSample,
} from './samples.ts'

const rules: OverflowRules = {
  pools: [{ name: 'burst', refuses: () => undefined }],
  waitMs: 0,
  nominatedWaitMs: 30_000,
  allowLocalTraffic: false,
}
const moment = { nowWallMs: 1_000_000, nominatedSinceMs: undefined }
/** Leaves 100m of its core. */
const hog = boundSample('server-0', { name: 'hog', cpu: '900m' })
const full: Partial<ClusterObjects> = { nodes: [serverSample(), virtualSample()], pods: [hog] }

function decide(
  pod: Pod,
  objects: Partial<ClusterObjects>,
  more: Partial<OverflowRules> = {},
): OverflowDecision {
  return decideOverflow(pod, clusterSample(objects), { ...rules, ...more }, moment)
}

function withNodes(...nodes: Node[]): Partial<ClusterObjects> {
  return { ...full, nodes }
}

describe('a Pod goes out', () => {
  it('when every server that is meant for it lacks room', () => {
    expect(decide(podSample(), full)).toEqual({
      kind: 'send',
      pool: 'burst',
      because: 'no server has room (1 lacks cpu)',
    })
  })

  it('when there is no server at all', () => {
    const because = 'there is no server node'
    expect(decide(podSample(), withNodes(virtualSample()))).toEqual({ kind: 'send', pool: 'burst', because })
  })

  it('when the only others are control-plane nodes that keep workloads off', () => {
    const taints = [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }]
    const decision = decide(podSample(), withNodes(serverSample({ name: 'cp', taints }), virtualSample()))
    expect(decision.kind).toBe('send')
  })

  it('when the servers are cordoned or not ready', () => {
    const nodes = [serverSample({ name: 'a', cordoned: true }), serverSample({ name: 'b', ready: false })]
    expect(decide(podSample(), withNodes(...nodes, virtualSample())).because).toBe(
      'no server has room (1 is cordoned, 1 is not ready)',
    )
  })

  it('when no server matches and its selector names virtual nodes', () => {
    const pod = podSample({ spec: { nodeSelector: { 'spillway.dev/pool': 'burst' } } })
    expect(decide(pod, { nodes: [serverSample(), virtualSample()] }).kind).toBe('send')
  })

  it('when its label says virtual, whatever the servers have', () => {
    const pod = podSample({ labels: { 'spillway.dev/placement': 'virtual' } })
    expect(decide(pod, { nodes: [serverSample(), virtualSample()] }).kind).toBe('send')
  })

  it('to the next pool when the first is full, or refuses what it needs', () => {
    const pools = [rules.pools[0]!, { name: 'spare', refuses: () => undefined }]
    const pod = podSample({ spec: { nodeSelector: {} } })
    const tooSmall = withNodes(
      serverSample(),
      virtualSample('burst', { cpu: '100m' }),
      virtualSample('spare'),
    )
    expect(decide(pod, tooSmall, { pools })).toMatchObject({ kind: 'send', pool: 'spare' })
    const refusing = [{ name: 'burst', refuses: () => 'no GPU' }, pools[1]!]
    const both = withNodes(serverSample(), virtualSample(), virtualSample('spare'))
    expect(decide(pod, both, { pools: refusing })).toMatchObject({ kind: 'send', pool: 'spare' })
  })

  it('to the next pool also when it was let onto the first, which has filled up since', () => {
    const pools = [rules.pools[0]!, { name: 'spare', refuses: () => undefined }]
    const nodes = withNodes(serverSample(), virtualSample('burst', { cpu: '100m' }), virtualSample('spare'))
    expect(decide(withToleration(podSample(), 'burst'), nodes, { pools })).toMatchObject({ pool: 'spare' })
  })
})

describe('a Pod waits', () => {
  it('while a server has room', () => {
    expect(decide(podSample(), { nodes: [serverSample(), virtualSample()] })).toMatchObject({
      kind: 'wait',
      because: expect.stringContaining('server-0 has room for it'),
    })
  })

  it('counting a terminating Pod as there, and a finished one as gone', () => {
    const terminating = { ...hog, metadata: { ...hog.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
    expect(decide(podSample(), { ...full, pods: [terminating] }).kind).toBe('send')
    expect(decide(podSample(), { ...full, pods: [{ ...hog, status: { phase: 'Succeeded' } }] }).kind).toBe(
      'wait',
    )
  })

  it('for a preemption, but not for ever', () => {
    const pod = podSample({ status: { nominatedNodeName: 'server-0' } })
    const at = (nominatedSinceMs: number): OverflowDecision =>
      decideOverflow(pod, clusterSample(full), rules, { ...moment, nominatedSinceMs })
    expect(at(990_000)).toEqual({
      kind: 'wait',
      afterMs: 20_000,
      because: 'preemption makes room for it on server-0',
    })
    expect(at(970_000).kind).toBe('send')
  })

  it('as long as the rules say', () => {
    const conditions = (lastTransitionTime: string) => [
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', lastTransitionTime },
    ]
    const early = podSample({ status: { conditions: conditions('1970-01-01T00:16:35Z') } })
    const late = podSample({ status: { conditions: conditions('1970-01-01T00:16:30Z') } })
    expect(decide(early, full, { waitMs: 10_000 })).toMatchObject({ kind: 'wait', afterMs: 5000 })
    expect(decide(late, full, { waitMs: 10_000 }).kind).toBe('send')
  })

  it.each([
    ['cordoned', virtualSample('burst', { cordoned: true }), '1 is cordoned'],
    ['not ready', virtualSample('burst', { ready: false }), '1 is not ready'],
    ['full', virtualSample('burst', { pods: '0' }), '1 lacks pods'],
  ])('while the virtual node is %s', (_state, node, why) => {
    expect(decide(podSample(), withNodes(serverSample(), node))).toMatchObject({
      kind: 'wait',
      because: `no server has room (1 lacks cpu), and no virtual node takes it (pool burst: ${why})`,
    })
  })

  it('for the scheduler once it may go', () => {
    expect(decide(withToleration(podSample(), 'burst'), full)).toMatchObject({
      kind: 'wait',
      because: 'it may go to virtual nodes of pool burst already',
    })
  })
})

describe('a Pod never goes', () => {
  it.each([
    [
      'when the scheduler has not refused it',
      podSample({ status: { conditions: [] } }),
      'has not refused it',
    ],
    ['of kube-system', podSample({ namespace: 'kube-system' }), 'Pods of kube-system stay on servers'],
    ['of a DaemonSet', podSample({ owner: 'DaemonSet' }), 'a DaemonSet’s Pod'],
    [
      'when it opted out',
      podSample({ labels: { 'spillway.dev/placement': 'server' } }),
      'of the Pod says server',
    ],
    [
      'with a label that nobody can read',
      podSample({ labels: { 'spillway.dev/placement': 'cloud' } }),
      'is "cloud"; allowed: auto, virtual, server',
    ],
  ])('%s', (_case, pod, because) => {
    expect(decide(pod, full)).toMatchObject({ kind: 'never', because: expect.stringContaining(because) })
  })

  it('when its namespace opted out, unless it says otherwise itself', () => {
    const namespaces = [{ metadata: { name: 'shop', labels: { 'spillway.dev/placement': 'server' } } }]
    expect(decide(podSample(), { ...full, namespaces }).kind).toBe('never')
    const own = podSample({ labels: { 'spillway.dev/placement': 'auto' } })
    expect(decide(own, { ...full, namespaces }).kind).toBe('send')
  })

  it('when servers exist and none is meant for it', () => {
    const pod = podSample({ spec: { nodeSelector: { disk: 'ssd' } } })
    expect(decide(pod, full)).toMatchObject({
      kind: 'never',
      because: expect.stringContaining('no server is meant'),
    })
  })

  it('when outside traffic would not reach it there, unless that is allowed', () => {
    const services = [localServiceSample()]
    const pod = podSample({ labels: { app: 'web' } })
    expect(decide(pod, { ...full, services })).toMatchObject({
      kind: 'never',
      notable: true,
      because: expect.stringContaining('Service front has externalTrafficPolicy Local'),
    })
    expect(decide(pod, { ...full, services }, { allowLocalTraffic: true }).kind).toBe('send')
    expect(decide(podSample({ labels: { app: 'other' } }), { ...full, services }).kind).toBe('send')
  })

  it('when no pool can run it, and says why', () => {
    const pools = [{ name: 'burst', refuses: () => 'hostNetwork is not offered' }]
    expect(decide(podSample(), full, { pools })).toEqual({
      kind: 'never',
      notable: true,
      because:
        'no server has room (1 lacks cpu), and no virtual node takes it (pool burst: hostNetwork is not offered)',
    })
  })
})

describe('Pods that were sent and are not bound yet', () => {
  it('hold their share, so that no more are sent than the pool holds', () => {
    const picture = clusterSample(withNodes(serverSample({ cpu: '0' }), virtualSample('burst', { cpu: '1' })))
    const sent = (name: string): Pod => withToleration(podSample({ name }), 'burst')
    const next = podSample({ name: 'next' })
    expect(decideOverflow(next, withSentPods(picture, [sent('a')]), rules, moment).kind).toBe('send')
    expect(decideOverflow(next, withSentPods(picture, [sent('a'), sent('b')]), rules, moment).kind).toBe(
      'wait',
    )
  })

  it('do not stand in their own way: the scheduler of 1.30 waits for seconds, and they are looked at again', () => {
    const pools = [...rules.pools, { name: 'spare', refuses: () => undefined }]
    const small = virtualSample('burst', { cpu: '1' })
    const picture = clusterSample(withNodes(serverSample(), small, virtualSample('spare')))
    const hostPort = { name: 'web', ports: [{ containerPort: 80, hostPort: 8080 }] }
    for (const spec of [{}, { containers: [{ ...hostPort, resources: { requests: { cpu: '900m' } } }] }]) {
      const pod = withToleration(podSample({ name: 'sent', cpu: '900m', spec }), 'burst')
      const other = withToleration(podSample({ name: 'other', cpu: '900m', spec }), 'spare')
      expect(
        decideOverflow(pod, withSentPods(picture, [pod, other]), { ...rules, pools }, moment),
      ).toMatchObject({ kind: 'wait', pool: 'burst' })
    }
  })

  it('are those that may go only: the others hold nothing', () => {
    const picture = clusterSample(withNodes(virtualSample('burst', { cpu: '1' })))
    expect(withSentPods(picture, [podSample()])).toEqual(picture)
  })
})

it('the toleration leaves the preference for servers in place', () => {
  expect(poolToleration('burst')).toEqual({
    key: 'spillway.dev/virtual-node',
    operator: 'Equal',
    value: 'burst',
    effect: 'NoSchedule',
  })
})

describe('a Pod with a volume', () => {
  const zone = 'topology.kubernetes.io/zone'
  const inZone = (name: string) => ({ labels: { [zone]: name } })
  const claim = {
    metadata: {
      namespace: 'shop',
      name: 'data',
      annotations: { 'pv.kubernetes.io/bind-completed': 'yes' },
    },
    spec: { volumeName: 'disk' },
  }
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }]
  const pod = podSample({ spec: { volumes } })
  const free = serverSample({ name: 'server-1', cpu: '4', ...inZone('b') })
  const taken = serverSample(inZone('a'))

  function withVolume(at: string, nodes: readonly Node[]): Partial<ClusterObjects> {
    const disk = { metadata: { name: 'disk', ...inZone(at) } }
    return { nodes: [...nodes], pods: [hog], volumes: { claims: [claim], volumes: [disk], classes: [] } }
  }

  it('goes out when the servers in its reach are full, whatever the others have', () => {
    const objects = withVolume('a', [taken, free, virtualSample('burst', inZone('a'))])
    expect(decide(pod, objects)).toEqual({
      kind: 'send',
      pool: 'burst',
      because: 'no server has room (1 lacks cpu)',
    })
    expect(decide(podSample(), objects)).toMatchObject({ kind: 'wait' })
  })

  it('stays when no virtual node is in its reach, and is told so', () => {
    expect(decide(pod, withVolume('a', [taken, free, virtualSample('burst', inZone('b'))]))).toEqual({
      kind: 'never',
      notable: true,
      because:
        'no server has room (1 lacks cpu), and no virtual node takes it (pool burst: 1 by volume disk, which is elsewhere)',
    })
  })

  it('goes out when only virtual nodes are in its reach', () => {
    const objects = withVolume('c', [taken, free, virtualSample('burst', inZone('c'))])
    expect(decide(pod, objects)).toEqual({
      kind: 'send',
      pool: 'burst',
      because: 'it has a volume that no server reaches, and virtual nodes do',
    })
    expect(decide(podSample({ spec: { volumes, nodeSelector: { disk: 'ssd' } } }), objects)).toMatchObject({
      kind: 'never',
    })
  })

  it('is not kept in by a volume of which nothing is known', () => {
    const { volumes: _, ...unknown } = withVolume('c', [taken, virtualSample('burst', inZone('b'))])
    expect(decide(pod, unknown)).toMatchObject({ kind: 'send' })
  })
})
