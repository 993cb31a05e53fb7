import { expect, test } from 'vitest'
import type { Pod, ReplicaSet } from '../../src/model/kubernetes.ts'
import { whyNotMovable } from '../../src/scheduling/movable.ts'
import { workloadsOf } from '../../src/scheduling/workload.ts'
import {
  nowWallMs,
  outPod,
  replicaSetOf,
  sceneOf,
  templateSpec,
  webPod,
  type Scene,
  type Wish,
} from './move-back-samples.ts'
import { virtualSample } from './samples.ts'

interface Case extends Scene {
  readonly pod?: Wish
  readonly namespaceLabels?: Record<string, string>
  readonly lowest?: number | undefined
}

function why(wish: Case = {}): string | undefined {
  const pod = outPod('c', wish.pod)
  const view = sceneOf({ pods: [webPod('a'), webPod('b'), pod], ...wish })
  return whyNotMovable(pod, {
    workload: workloadsOf(view).get('set'),
    neighbours: view.replicaSets,
    node: virtualSample(),
    isVirtual: ({ spec }) => spec?.nodeName === 'burst-0',
    namespace: { metadata: { name: 'shop', labels: wish.namespaceLabels ?? {} } },
    lowestServerPriority: 'lowest' in wish ? wish.lowest : 0,
    nowWallMs,
  })
}

function strategy(wanted: object): Pick<Scene, 'deployment'> {
  return { deployment: (made) => ({ ...made, spec: { ...made.spec!, strategy: wanted } }) }
}

function template(change: Partial<NonNullable<Pod['spec']>>): Pick<Scene, 'replicaSet'> {
  return {
    replicaSet: (made) => ({
      ...made,
      spec: { ...made.spec!, template: { ...made.spec?.template, spec: { ...templateSpec(), ...change } } },
    }),
  }
}

const cost = 'controller.kubernetes.io/pod-deletion-cost'
const bare = (made: ReplicaSet): ReplicaSet => ({
  ...made,
  metadata: { ...made.metadata, ownerReferences: [] },
})
const reads = { name: 'H', valueFrom: { fieldRef: { fieldPath: "metadata.labels['pod-template-hash']" } } }

const gpu: object = { resourceClaims: [{ name: 'gpu' }] }

test.each<[wish: Case, why: RegExp | undefined]>([
  [{}, undefined],
  [{ replicaSet: bare }, undefined],
  [strategy({ type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%' } }), undefined],
  [{ namespaceLabels: { 'spillway.dev/placement': 'auto' } }, undefined],
  [{ namespaceLabels: { 'spillway.dev/placement': 'virtual' } }, /its namespace says virtual/],
  [{ pod: { labels: { 'spillway.dev/placement': 'virtual' } } }, /the Pod says virtual/],
  [
    template({ tolerations: [{ key: 'spillway.dev/virtual-node', operator: 'Exists' }] }),
    /overflow did not send it/,
  ],
  [template({ tolerations: [{ operator: 'Exists' }] }), /overflow did not send it/],
  [template({ tolerations: [{ key: 'other', operator: 'Exists' }] }), undefined],
  [strategy({ type: 'Recreate' }), /strategy is Recreate/],
  [strategy({ rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } }), /maxSurge is 0/],
  [strategy({ rollingUpdate: { maxSurge: '0%', maxUnavailable: 1 } }), /maxSurge is 0/],
  [
    {
      replicaSet: (set) => ({
        ...set,
        metadata: {
          ...set.metadata,
          ownerReferences: [
            { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', name: 'r', uid: 'r', controller: true },
          ],
        },
      }),
    },
    /is a Rollout’s/,
  ],
  [
    { pod: { spec: { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] } } },
    /volume claim data/,
  ],
  [{ pod: { spec: gpu } }, /resource claim gpu/],
  [
    {
      otherSets: [
        {
          ...bare(replicaSetOf(1)),
          metadata: { name: 'wide', uid: 'wide', namespace: 'shop' },
          spec: { selector: { matchLabels: { app: 'web' } } },
        },
      ],
    },
    /ReplicaSet wide would take/,
  ],
  [template({ containers: [{ name: 'web', env: [reads] }] }), /reads its label pod-template-hash/],
  [{ replicaSet: (set) => ({ ...set, spec: { ...set.spec!, selector: {} } }) }, /takes Pods that lack/],
  [{ pod: { spec: { priority: 10 } } }, /priority 10 could put Pods of priority 0 out/],
  [{ pod: { spec: { priority: 10, preemptionPolicy: 'Never' } } }, undefined],
  [{ pod: { spec: { priority: 10 } }, lowest: 10 }, undefined],
  [{ pod: { spec: { priority: 10 } }, lowest: undefined }, undefined],
  [
    { pods: [webPod('a', { annotations: { [cost]: '-5000' } }), outPod('c')] },
    /would remove a first \(deletion cost\)/,
  ],
  [{ pods: [webPod('a', { annotations: { [cost]: '-5' } }), outPod('c')] }, undefined],
  [{ pods: [webPod('a', { ready: false }), outPod('c')] }, undefined],
])('%#: %j → %s', (wish, expected) => {
  if (expected) expect(why(wish)).toMatch(expected)
  else expect(why(wish)).toBeUndefined()
})

test('a cost that its people gave all alike leaves it to upstream’s later rules, which are asked, too', () => {
  const annotations = { [cost]: '7' }
  const all = (set: ReplicaSet): ReplicaSet => ({
    ...set,
    spec: { ...set.spec!, template: { ...set.spec?.template, metadata: { annotations } } },
  })
  // Two beside each other on the virtual node, and one on the server: one of the two would leave.
  const crowded = [webPod('a', { annotations }), outPod('b', { annotations }), outPod('c', { annotations })]
  expect(why({ pod: { annotations }, pods: crowded, replicaSet: all })).toBeUndefined()
  // Two on the server, and one out there.
  const lonely = [webPod('a', { annotations }), webPod('b', { annotations }), outPod('c', { annotations })]
  expect(why({ pod: { annotations }, pods: lonely, replicaSet: all })).toMatch(
    /would remove (a|b) first \(more of them on its node\)/,
  )
  // One on each: the twin would be the one that was ready for the shortest time.
  const even = [webPod('a', { annotations }), outPod('c', { annotations })]
  expect(why({ pod: { annotations }, pods: even, replicaSet: all })).toMatch(
    /would remove a twin of it first/,
  )
})

test('only Pods of ReplicaSets are', () => {
  const context = {
    workload: undefined,
    neighbours: [],
    node: undefined,
    isVirtual: () => true,
    namespace: undefined,
    lowestServerPriority: 0,
    nowWallMs,
  }
  expect(whyNotMovable(outPod('c'), context)).toBe('only Pods of ReplicaSets and Deployments are moved back')
})
