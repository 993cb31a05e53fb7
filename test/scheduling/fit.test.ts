import { describe, expect, it } from 'vitest'
import type { Node, Pod, Toleration } from '../../src/model/kubernetes.ts'
import { fitOn, type Fit } from '../../src/scheduling/fit.ts'
import { boundSample, clusterSample, podSample, serverSample, type PodSample } from './samples.ts'

function fit(pod: Pod, node: Node, others: readonly Pod[] = []): Fit {
  const [room] = clusterSample({ nodes: [node], pods: others }).servers
  if (!room) throw new Error('the node is no server')
  return fitOn(pod, room)
}

const withPort = (hostPort: number, hostIP = '', protocol = 'TCP'): PodSample['spec'] => ({
  containers: [{ name: 'web', ports: [{ containerPort: 80, hostPort, hostIP, protocol }] }],
})

describe('room', () => {
  it('is exact to the last thousandth of a core', () => {
    const others = [boundSample('server-0', { name: 'other', cpu: '600m' })]
    expect(fit(podSample({ cpu: '400m' }), serverSample(), others)).toEqual({ kind: 'fits' })
    expect(fit(podSample({ cpu: '401m' }), serverSample(), others)).toEqual({
      kind: 'full',
      lacking: ['cpu'],
    })
  })

  it('is named for all that is lacking', () => {
    const resources = { requests: { cpu: '2', memory: '8Gi', 'nvidia.com/gpu': '1' } }
    const pod = podSample({ spec: { containers: [{ name: 'a', resources }] } })
    expect(fit(pod, serverSample({ pods: '0' }))).toEqual({
      kind: 'full',
      lacking: ['cpu', 'memory', 'nvidia.com/gpu', 'pods'],
    })
  })

  it.each([
    ['the same port', withPort(80), { kind: 'full', lacking: ['ports'] }],
    ['the port of one address', withPort(80, '10.0.0.1'), { kind: 'full', lacking: ['ports'] }],
    ['another protocol', withPort(80, '', 'UDP'), { kind: 'fits' }],
    ['another port', withPort(81), { kind: 'fits' }],
  ])('for host ports: %s', (_case, spec, expected) => {
    const other = boundSample('server-0', { name: 'other', spec: withPort(80) ?? {} })
    expect(fit(podSample({ spec: spec ?? {} }), serverSample(), [other])).toEqual(expected)
  })

  it('that preemption made is kept for the one it was made for, from those of no higher priority', () => {
    const nominated = podSample({
      name: 'first',
      cpu: '800m',
      spec: { priority: 10 },
      status: { nominatedNodeName: 'server-0' },
    })
    expect(fit(podSample({ spec: { priority: 5 } }), serverSample(), [nominated]).kind).toBe('full')
    expect(fit(podSample({ spec: { priority: 20 } }), serverSample(), [nominated]).kind).toBe('fits')
    expect(fit(nominated, serverSample(), [nominated]).kind).toBe('fits')
  })
})

describe('a node that is not meant for the Pod', () => {
  const taint = { key: 'team', value: 'data', effect: 'NoSchedule' }
  it.each<[string, Toleration, Fit['kind']]>([
    ['the same key and value', { key: 'team', operator: 'Equal', value: 'data' }, 'fits'],
    ['no operator, which means Equal', { key: 'team', value: 'data' }, 'fits'],
    ['another value', { key: 'team', value: 'web' }, 'mismatch'],
    ['another effect', { key: 'team', operator: 'Exists', effect: 'NoExecute' }, 'mismatch'],
    ['every key', { operator: 'Exists' }, 'fits'],
  ])('by its taint, with a toleration of %s', (_case, toleration, kind) => {
    const pod = podSample({ spec: { tolerations: [toleration] } })
    expect(fit(pod, serverSample({ taints: [taint] })).kind).toBe(kind)
  })

  it('not by a taint that only prefers', () => {
    expect(fit(podSample(), serverSample({ taints: [{ ...taint, effect: 'PreferNoSchedule' }] })).kind).toBe(
      'fits',
    )
  })

  it.each([
    ['In', ['a', 'b'], 'fits'],
    ['In', ['b'], 'mismatch'],
    ['NotIn', ['b'], 'fits'],
    ['Exists', [], 'fits'],
    ['DoesNotExist', [], 'mismatch'],
    ['Unheard', ['a'], 'mismatch'],
  ])('by required affinity: %s %j', (operator, values, kind) => {
    const nodeSelectorTerms = [{ matchExpressions: [{ key: 'disk', operator, values }] }]
    const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } }
    const pod = podSample({ spec: { affinity: { nodeAffinity: required } } })
    expect(fit(pod, serverSample({ labels: { disk: 'a' } })).kind).toBe(kind)
  })

  it.each([
    ['Gt', '9', 'fits'],
    ['Gt', '10', 'mismatch'],
    ['Lt', '100', 'fits'],
    ['Lt', 'many', 'mismatch'],
  ])('by numbers: %s %s of 10', (operator, bound, kind) => {
    const nodeSelectorTerms = [{ matchExpressions: [{ key: 'cores', operator, values: [bound] }] }]
    const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } }
    const pod = podSample({ spec: { affinity: { nodeAffinity: required } } })
    expect(fit(pod, serverSample({ labels: { cores: '10' } })).kind).toBe(kind)
  })

  it('by a term that asks for nothing, which matches nothing', () => {
    const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{}] } }
    expect(fit(podSample({ spec: { affinity: { nodeAffinity: required } } }), serverSample()).kind).toBe(
      'mismatch',
    )
  })
})

describe('a node that takes nothing just now', () => {
  it('is away while it is cordoned, for all that do not tolerate it', () => {
    const tolerations = [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }]
    expect(fit(podSample(), serverSample({ cordoned: true }))).toEqual({ kind: 'away', why: 'cordoned' })
    expect(fit(podSample({ spec: { tolerations } }), serverSample({ cordoned: true })).kind).toBe('fits')
  })

  it('is away under pressure, rather than not meant for the Pod', () => {
    const taints = [{ key: 'node.kubernetes.io/disk-pressure', effect: 'NoSchedule' }]
    expect(fit(podSample(), serverSample({ taints })).kind).toBe('away')
  })
})
