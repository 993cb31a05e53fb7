import { describe, expect, it } from 'vitest'
import { checkCluster, type ClusterFacts, type DaemonSet } from '../../src/scheduling/check-cluster.ts'
import { inOrder } from '../../src/scheduling/burst/burst-policy.ts'
import { policySample } from './burst/samples.ts'
import { boundSample, localServiceSample, podSample, serverSample, virtualSample } from './samples.ts'

const nothing = { placement: 'nothing', daemonSets: 'nothing', always: true } as const
const fine: ClusterFacts = {
  serverVersion: 'v1.37.2',
  admission: { placement: 'policy', daemonSets: 'policy', always: true },
  missingRights: [],
  missingMoveBackRights: [],
  nodes: [serverSample(), virtualSample()],
  pods: [],
  namespaces: [{ metadata: { name: 'shop' } }],
  services: [],
  daemonSets: [],
  bursts: [],
  pools: [{ name: 'burst', refuses: () => undefined }],
  refusedPools: [],
  servesPools: true,
  guardsDeletions: true,
}

function found(change: Partial<ClusterFacts>): readonly string[] {
  return checkCluster({ ...fine, ...change }).map(
    ({ level, finding, remedy }) => `${level}: ${finding} → ${remedy}`,
  )
}

function daemonSet(spec: NonNullable<NonNullable<DaemonSet['spec']>['template']>['spec']): DaemonSet {
  return { metadata: { namespace: 'kube-system', name: 'agent' }, spec: { template: spec ? { spec } : {} } }
}

describe('the check of a cluster', () => {
  it('finds nothing where nothing is', () => {
    expect(found({ pods: [podSample(), boundSample('server-0')] })).toEqual([])
  })

  it('finds a budget of a namespace that cannot be read', () => {
    const annotations = { 'spillway.dev/budget-per-day': 'ten' }
    expect(found({ namespaces: [{ metadata: { name: 'shop', annotations } }] })).toEqual([
      'problem: Namespace shop: spillway.dev/budget-per-day: found "ten"; allowed: an amount and a currency, as in "10.50 USD" → mend the annotation: until then no more of its Pods start on virtual nodes',
    ])
  })

  it('finds rights that the controller lacks', () => {
    expect(found({ missingRights: ['patch pods', 'create leases'] })).toEqual([
      'problem: the controller may not patch pods, create leases → kubectl apply -f deploy/rbac.yaml',
    ])
  })

  it('finds those that moving back takes, where it is on', () => {
    expect(found({ missingMoveBackRights: ['create pods'] })).toEqual([
      'problem: the controller may not create pods → kubectl apply -f deploy/move-back.yaml',
    ])
  })

  it('finds virtual nodes that are not there, or not ready', () => {
    expect(found({ nodes: [serverSample()] })[0]).toMatch(/^problem: no virtual node is registered/)
    expect(found({ nodes: [virtualSample('burst', { ready: false })] })).toEqual([
      'problem: virtual node burst-0 is not ready: it says nothing → kubectl describe node burst-0',
    ])
  })

  it('finds pools that cannot be taken, and notes what keeps them from being objects and from being guarded', () => {
    const problems = ['backend: found "x"; allowed: local']
    expect(
      found({ refusedPools: [{ name: 'night', problems }], servesPools: false, guardsDeletions: false }),
    ).toEqual([
      'problem: pool night cannot be taken: backend: found "x"; allowed: local → kubectl edit vnp night, or the configuration file',
      'note: pools stand in the configuration file only: this cluster serves no VirtualNodePools → kubectl apply -f deploy/crds',
      'note: a pool or virtual node is deleted although Pods run there → kubectl apply -f deploy/admission/deletions.yaml',
    ])
  })

  it('finds an API server that is too old', () => {
    expect(found({ serverVersion: 'v1.29.3' })[0]).toMatch(/^problem: Kubernetes v1.29.3 is older than 1.30/)
    expect(found({ serverVersion: 'v1.30.0' })).toEqual([])
  })

  it('notes admission that is missing, with what this API server can do', () => {
    expect(found({ admission: nothing })).toEqual([
      expect.stringMatching(
        /^note: label spillway.dev\/placement: virtual .* kubectl apply -f deploy\/admission\/placement.yaml$/,
      ),
      expect.stringMatching(/^note: DaemonSets .* kubectl apply -f deploy\/admission\/daemonsets.yaml$/),
    ])
    expect(found({ admission: nothing, serverVersion: 'v1.34.1' })).toEqual([
      expect.stringMatching(/^note: label .* kubectl apply -f deploy\/admission-webhook.yaml$/),
      expect.stringMatching(/^note: DaemonSets .* kubectl apply -f deploy\/admission-webhook.yaml$/),
    ])
  })

  it('notes what a webhook misses, and what would not', () => {
    const both = { placement: 'webhook', daemonSets: 'webhook', always: false } as const
    expect(found({ admission: both, serverVersion: 'v1.34.1' })).toEqual([
      expect.stringMatching(
        /^note: .* made while Spillway is down are missed .* nothing before Kubernetes 1.36/,
      ),
    ])
    const half = { placement: 'webhook', daemonSets: 'policy', always: true } as const
    expect(found({ admission: half })).toEqual([
      expect.stringMatching(/^note: .* missed .* kubectl apply -f deploy\/admission, which takes its place$/),
    ])
  })

  it('notes burst policies that say Always and are not heard from the start', () => {
    const bursts = [policySample('all', { spec: { mode: 'Always' } })]
    const inForce = { placement: 'policy', daemonSets: 'policy', always: true } as const
    expect(found({ bursts, admission: inForce })).toEqual([])
    expect(found({ bursts, admission: { ...inForce, always: false } })).toEqual([
      expect.stringMatching(
        /^note: BurstPolicy shop\/all says Always, and counts only once no server has room → kubectl apply -f deploy\/admission\/burst-policies.yaml/,
      ),
    ])
    const podSelector = { matchLabels: { app: 'web' } }
    const web = policySample('web', { spec: { mode: 'Auto', podSelector } })
    expect(found({ bursts: inOrder([...bursts, web]) })).toEqual([
      'note: BurstPolicy shop/all says Always, but BurstPolicy shop/web counts before it and says Auto: a server that has room may take its Pods → give its Pods the label spillway.dev/placement: virtual, or its own selector more requirements',
    ])
  })

  it('finds DaemonSets that want a Pod on virtual nodes, and no others', () => {
    const containers = [{ name: 'agent' }]
    const tolerations = [{ operator: 'Exists' }]
    const off = { key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] }
    const affinity = {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [off] }] },
      },
    }
    const everywhere = daemonSet({ containers, tolerations })
    expect(
      found({
        daemonSets: [everywhere, daemonSet({ containers }), daemonSet({ containers, tolerations, affinity })],
      }),
    ).toEqual([
      'problem: DaemonSet kube-system/agent wants a Pod on virtual nodes, and its updates will wait for that → kubectl -n kube-system rollout restart daemonset/agent',
    ])
    expect(
      found({ daemonSets: [everywhere], admission: { ...fine.admission, daemonSets: 'nothing' } })[0],
    ).toContain('add type NotIn [virtual-kubelet] to the node affinity of daemonset/agent in kube-system')
  })

  it('finds labels that nobody can read', () => {
    const labels = { 'spillway.dev/placement': 'virtuall' }
    expect(
      found({ pods: [podSample({ labels })], namespaces: [{ metadata: { name: 'shop', labels } }] }),
    ).toEqual([
      'problem: Namespace shop: label spillway.dev/placement is "virtuall", and keeps on servers what has it → allowed: auto, virtual, server',
      'problem: Pod shop/web-1: label spillway.dev/placement is "virtuall", and keeps on servers what has it → allowed: auto, virtual, server',
    ])
  })

  it('notes Services that keep their Pods on servers', () => {
    const pods = [podSample({ labels: { app: 'web' } }), podSample({ name: 'other' })]
    expect(found({ pods, services: [localServiceSample()] })).toEqual([
      expect.stringMatching(
        /^note: Service shop\/front has externalTrafficPolicy Local: its 1 Pod will not go out/,
      ),
    ])
    expect(found({ services: [localServiceSample()] })).toEqual([])
  })

  it('notes Pods that no pool takes, by reason', () => {
    const pods = ['a', 'b', 'c', 'd'].map((name) => podSample({ name }))
    const picky = { name: 'burst', refuses: () => 'it has no GPU' }
    const more = [...pods, podSample({ name: 'agent', owner: 'DaemonSet' })]
    expect(found({ pods: more, pools: [picky] })).toEqual([
      expect.stringMatching(
        /^note: 4 Pods would not be let out: it has no GPU \(shop\/a, shop\/b, shop\/c, …\)/,
      ),
    ])
    expect(found({ pods, pools: [picky, { name: 'spare', refuses: () => undefined }] })).toEqual([])
  })

  it('notes Pods that were written for another product and lose something here', () => {
    const labelled = { labels: { 'eks.amazonaws.com/fargate-profile': 'batch' } }
    const pods = ['a', 'b'].map((name) => podSample({ ...labelled, name }))
    const whole = podSample({ name: 'c', labels: { 'alibabacloud.com/eci': 'true' } })
    expect(found({ pods: [...pods, whole] })).toEqual([
      'note: 2 Pods asked for what AWS Fargate has and virtual nodes here have not (shop/a, shop/b) → ' +
        'spillway explain POD tells what is lost, and what to write',
    ])
  })

  it('tells problems before notes', () => {
    const levels = found({ admission: nothing, missingRights: ['patch pods'], serverVersion: 'v1.29.0' })
    expect(levels.map((line) => line.split(':')[0])).toEqual(['problem', 'problem', 'note', 'note'])
  })
})
