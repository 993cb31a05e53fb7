import { describe, expect, test } from 'vitest'
import type { Node, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { Neighbours } from '../../src/scheduling/neighbours.ts'
import { boundSample, podSample, serverSample, virtualSample } from './samples.ts'

const hostname = 'kubernetes.io/hostname'
const zone = 'topology.kubernetes.io/zone'
const labels = { app: 'web' }

function named(
  make: (sample: { name: string; labels: Record<string, string> }) => Node,
  name: string,
  where = 'a',
): Node {
  return make({ name, labels: { [hostname]: name, [zone]: where } })
}

const server0 = named(serverSample, 'server-0')
const server1 = named(serverSample, 'server-1', 'b')
const burst0 = named((sample) => virtualSample('burst', sample), 'burst-0')
const bare = serverSample({ name: 'bare' })
const nodes = [server0, server1, burst0, bare]

function spread(more: object = {}): Partial<PodSpec> {
  const constraint = { maxSkew: 1, topologyKey: hostname, whenUnsatisfiable: 'DoNotSchedule' }
  return { topologySpreadConstraints: [{ ...constraint, labelSelector: { matchLabels: labels }, ...more }] }
}

function company(kind: 'podAffinity' | 'podAntiAffinity', more: object = {}): Partial<PodSpec> {
  const term = { labelSelector: { matchLabels: labels }, topologyKey: hostname, ...more }
  return { affinity: { [kind]: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } }
}

function on(node: string, name = `on-${node}`, more: Parameters<typeof boundSample>[1] = {}): Pod {
  return boundSample(node, { name, labels, ...more })
}

/** The nodes that keep it off, each with the reason. */
function off(
  spec: Partial<PodSpec>,
  there: readonly Pod[],
  own: Record<string, string> = labels,
): Record<string, string> {
  const neighbours = new Neighbours({
    nodes,
    pods: there,
    namespaces: new Map([['other', { metadata: { name: 'other', labels: { team: 'x' } } }]]),
  })
  const pod = podSample({ name: 'new', labels: own, spec })
  return Object.fromEntries(
    nodes.flatMap((node) => {
      const kept = neighbours.keepOff(pod, node)
      return kept ? [[node.metadata?.name ?? '', `${kept.why}${kept.isForGood ? ' (for good)' : ''}`]] : []
    }),
  )
}

const forGood = { bare: `no label ${hostname} (for good)` }
const skewed = `spread over ${hostname}`

describe('hard topology spread', () => {
  test('counts a virtual node as a domain, so that one Pod on each server is all that they take', () => {
    expect(off(spread(), [on('server-0'), on('server-1')])).toEqual({
      'server-0': skewed,
      'server-1': skewed,
      ...forGood,
    })
  })

  test('leaves a virtual node out where the Pod says that taints count', () => {
    expect(off(spread({ nodeTaintsPolicy: 'Honor' }), [on('server-0'), on('server-1')])).toEqual(forGood)
    expect(off(spread({ nodeTaintsPolicy: 'Honor' }), [on('server-0')])).toEqual({
      'server-0': skewed,
      ...forGood,
    })
  })

  test('leaves out nodes that the Pod does not select, unless it says otherwise', () => {
    const selects = { nodeSelector: { [hostname]: 'server-0' } }
    expect(off({ ...spread(), ...selects }, [on('server-0')])).toEqual(forGood)
    expect(off({ ...spread({ nodeAffinityPolicy: 'Ignore' }), ...selects }, [on('server-0')])).toEqual({
      'server-0': skewed,
      ...forGood,
    })
  })

  test('over zones counts them together', () => {
    const over = spread({ topologyKey: zone })
    const noZone = { bare: `no label ${zone} (for good)` }
    expect(off(over, [on('burst-0')])).toEqual({
      'server-0': `spread over ${zone}`,
      'burst-0': `spread over ${zone}`,
      ...noZone,
    })
  })

  test('counts neither other namespaces, nor who is leaving, nor other templates by matchLabelKeys', () => {
    const leaving = on('server-0', 'leaving')
    const gone = { ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: '2026-11-29T12:00:00Z' } }
    const elsewhere = on('server-0', 'elsewhere', { namespace: 'other' })
    expect(off(spread(), [gone, elsewhere])).toEqual(forGood)
    const old = on('server-0', 'old', { labels: { ...labels, version: '1' } })
    const own = { ...labels, version: '2' }
    expect(off(spread({ matchLabelKeys: ['version', 'absent'] }), [old], own)).toEqual(forGood)
    expect(off(spread(), [old], own)).toEqual({ 'server-0': skewed, ...forGood })
  })

  test('with too few domains counts from nothing', () => {
    const everywhere = [on('server-0'), on('server-1'), on('burst-0')]
    expect(off(spread({ minDomains: 3 }), everywhere)).toEqual(forGood)
    expect(off(spread({ minDomains: 4 }), everywhere)).toMatchObject({
      'server-0': skewed,
      'burst-0': skewed,
    })
  })

  test('that is only wished for keeps nobody off', () => {
    expect(off(spread({ whenUnsatisfiable: 'ScheduleAnyway' }), [on('server-0')])).toEqual({})
  })
})

describe('affinity of Pods to each other', () => {
  const apart = 'anti-affinity to Pods there'
  const away = 'affinity to Pods elsewhere'

  test('keeps the Pod off those that it will not be beside, on the node or in the zone', () => {
    expect(off(company('podAntiAffinity'), [on('server-0')])).toEqual({ 'server-0': apart })
    expect(off(company('podAntiAffinity', { topologyKey: zone }), [on('server-0')])).toEqual({
      'server-0': apart,
      'burst-0': apart,
    })
  })

  test('keeps the Pod off those that will not be beside it, though it says nothing itself', () => {
    expect(off({}, [on('server-1', 'loner', { spec: company('podAntiAffinity') })])).toEqual({
      'server-1': apart,
    })
    expect(off({}, [on('server-1', 'loner', { spec: company('podAntiAffinity') })], { app: 'db' })).toEqual(
      {},
    )
  })

  test('keeps the Pod with those that it wants to be beside', () => {
    expect(off(company('podAffinity'), [on('server-0')])).toEqual({
      'server-1': away,
      'burst-0': away,
      bare: away,
    })
  })

  test('lets the first of a group that wants to be together go anywhere that has the label', () => {
    expect(off(company('podAffinity'), [])).toEqual({ bare: away })
    expect(Object.keys(off(company('podAffinity'), [], { app: 'db' }))).toHaveLength(4)
  })

  test('speaks of its own namespace, of those that it names, or of those that it selects', () => {
    const other = on('server-0', 'other', { namespace: 'other' })
    expect(off(company('podAntiAffinity'), [other])).toEqual({})
    expect(off(company('podAntiAffinity', { namespaces: ['other'] }), [other])).toEqual({ 'server-0': apart })
    const selects = { namespaceSelector: { matchLabels: { team: 'x' } } }
    expect(off(company('podAntiAffinity', selects), [other])).toEqual({ 'server-0': apart })
  })

  test('by mismatchLabelKeys speaks of those with other values only', () => {
    const keys = { mismatchLabelKeys: ['tenant'], labelSelector: {} }
    const there = [
      on('server-0', 'mine', { labels: { tenant: 'a' } }),
      on('server-1', 'theirs', { labels: { tenant: 'b' } }),
    ]
    expect(off(company('podAntiAffinity', keys), there, { tenant: 'a' })).toEqual({ 'server-1': apart })
  })
})

test('the same Pod with another toleration is judged anew', () => {
  const neighbours = new Neighbours({ nodes, pods: [on('server-0'), on('server-1')], namespaces: new Map() })
  const pod = podSample({ name: 'new', labels, spec: spread({ nodeTaintsPolicy: 'Honor' }) })
  expect(neighbours.keepOff(pod, server0)).toBeUndefined()
  const tolerant = { ...pod, spec: { ...pod.spec!, tolerations: [{ operator: 'Exists' }] } }
  expect(neighbours.keepOff(tolerant, server0)).toMatchObject({ why: skewed })
})
