import { describe, expect, test } from 'vitest'
import type { ReplicaSet } from '../../src/model/kubernetes.ts'
import {
  asTwin,
  handOverPatch,
  isOrWasTwin,
  labelsOutside,
  makeTwin,
  putOffPatch,
  twinOf,
} from '../../src/scheduling/twin.ts'
import { agoTime, outPod, replicaSetOf, templateSpec } from './move-back-samples.ts'

const original = outPod('c')
const notVirtual = { key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] }

function setWith(change: Partial<NonNullable<ReplicaSet['spec']>>): ReplicaSet {
  const set = replicaSetOf(3)
  return { ...set, spec: { ...set.spec!, ...change } }
}

function made(set = replicaSetOf(3), taken: readonly (string | undefined)[] = []) {
  const twin = makeTwin(original, set, (name) => taken.includes(name))
  if (!twin) throw new Error('there is no twin')
  return twin
}

describe('a twin', () => {
  test('is what its ReplicaSet would make, on servers, outside of its selector and owned by whom it replaces', () => {
    expect(made()).toEqual({
      metadata: {
        namespace: 'shop',
        name: expect.stringMatching(/^web-abc-[bcdfghjklmnpqrstvwxz2456789]{5}$/),
        labels: {
          app: 'web',
          tier: 'front',
          'spillway.dev/twin-of': 'uid-c',
          'spillway.dev/placement': 'server',
        },
        annotations: {},
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'c', uid: 'uid-c' }],
      },
      spec: {
        ...templateSpec(),
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [{ matchExpressions: [notVirtual] }],
            },
          },
        },
      },
    })
    expect(twinOf(made())).toBe('uid-c')
    expect(isOrWasTwin(made())).toBe(true)
    expect(isOrWasTwin(original)).toBe(false)
  })

  test('has the same name when it is made again, and another one once that is there', () => {
    expect(made().metadata?.name).toBe(made().metadata?.name)
    expect(made(replicaSetOf(3), [made().metadata?.name]).metadata?.name).not.toBe(made().metadata?.name)
  })

  test('keeps the annotations and finalizers of the template', () => {
    const metadata = { labels: { app: 'web' }, annotations: { a: 'b' }, finalizers: ['example.com/f'] }
    const twin = made(setWith({ template: { metadata, spec: templateSpec() } }))
    expect(twin.metadata).toMatchObject({ annotations: { a: 'b' }, finalizers: ['example.com/f'] })
  })

  test('stays on servers in each of the ways in which its node may be chosen', () => {
    const ssd = { key: 'disk', operator: 'In', values: ['ssd'] }
    const nodeSelectorTerms = [{ matchExpressions: [ssd] }, { matchFields: [ssd] }, {}]
    const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } }
    const preferred = { preferredDuringSchedulingIgnoredDuringExecution: [] }
    const affinity = { nodeAffinity: { ...required, ...preferred }, podAntiAffinity: {} }
    const twin = made(setWith({ template: { spec: { ...templateSpec(), affinity } } }))
    expect(twin.spec?.affinity).toEqual({
      podAntiAffinity: {},
      nodeAffinity: {
        ...preferred,
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            { matchExpressions: [ssd, notVirtual] },
            { matchFields: [ssd], matchExpressions: [notVirtual] },
            // A term without any requirement matches nothing; with ours it would match every server.
            {},
          ],
        },
      },
    })
  })

  test('is asked about as its Pod, without a node', () => {
    expect(asTwin(original).spec).toMatchObject({ tolerations: original.spec?.tolerations })
    expect(asTwin(original).spec?.nodeName).toBeUndefined()
  })
})

describe('the labels of a twin', () => {
  test.each<[selector: object, labels: Record<string, string>, outside: object | undefined]>([
    [
      { matchLabels: { app: 'web', 'pod-template-hash': 'abc' } },
      { app: 'web', 'pod-template-hash': 'abc', v: '1' },
      { app: 'web', v: '1' },
    ],
    [{ matchLabels: { app: 'web', tier: 'x' } }, { app: 'web', tier: 'x', v: '1' }, { v: '1' }],
    [
      { matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] },
      { app: 'web', v: '1' },
      { v: '1' },
    ],
    [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, { v: '1' }, undefined],
    [{}, { v: '1' }, undefined],
  ])('%j of %j leaves %j', (selector, labels, outside) => {
    const set = setWith({ selector, template: { metadata: { labels }, spec: templateSpec() } })
    expect(labelsOutside(set)).toEqual(outside)
    expect(makeTwin(original, set, () => false) === undefined).toBe(outside === undefined)
  })
})

test('handing over makes it one of its ReplicaSet’s in one write, to the Pod that was decided about', () => {
  const twin = { ...made(), metadata: { ...made().metadata, uid: 'uid-twin', resourceVersion: '9' } }
  expect(handOverPatch(twin, original, replicaSetOf(3))).toEqual([
    { op: 'test', path: '/metadata/uid', value: 'uid-twin' },
    { op: 'test', path: '/metadata/resourceVersion', value: '9' },
    { op: 'add', path: '/metadata/labels', value: { app: 'web', 'pod-template-hash': 'abc', tier: 'front' } },
    { op: 'add', path: '/metadata/annotations', value: { 'spillway.dev/moved-back-from': 'c' } },
    {
      op: 'add',
      path: '/metadata/ownerReferences',
      value: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-abc', uid: 'set', controller: true }],
    },
  ])
})

test('a placement that the template names is back on it', () => {
  const labels = { app: 'web', 'pod-template-hash': 'abc', 'spillway.dev/placement': 'auto' }
  const set = setWith({ template: { metadata: { labels }, spec: templateSpec() } })
  expect(made(set).metadata?.labels?.['spillway.dev/placement']).toBe('server')
  expect(handOverPatch(made(set), original, set)[2]).toMatchObject({ value: labels })
})

test('putting off keeps the other annotations', () => {
  const value = {
    ...original.metadata?.annotations,
    'spillway.dev/move-back-after': agoTime(0),
    'spillway.dev/move-back-tries': '2',
  }
  expect(putOffPatch(original, { time: agoTime(0), tries: 2 }).at(-1)).toEqual({
    op: 'add',
    path: '/metadata/annotations',
    value,
  })
})
