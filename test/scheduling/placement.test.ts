import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Namespace, Toleration } from '../../src/model/kubernetes.ts'
import { placementPatch, withPlacement } from '../../src/scheduling/placement.ts'
import { podOfWish, podWish } from '../support/admission-samples.ts'
import { applyJsonPatch } from '../support/apply-json-patch.ts'
import { podSample } from './samples.ts'

const virtual = { 'spillway.dev/placement': 'virtual' }
const out: Namespace = { metadata: { name: 'out', labels: virtual } }
const anyVirtualNode: Toleration = {
  key: 'spillway.dev/virtual-node',
  operator: 'Exists',
  effect: 'NoSchedule',
}

it('as a patch makes of every Pod what it makes of it otherwise, and of one that went through nothing more', () => {
  fc.assert(
    fc.property(podWish, fc.constantFrom(undefined, out), (wish, namespace) => {
      const pod = podOfWish(wish, 'pod')
      const patched = applyJsonPatch(pod, placementPatch(pod, namespace))
      const { nodeSelector, ...placed } = withPlacement(pod, namespace).spec ?? { containers: [] }
      const { tolerations = [], ...others } = placed
      const written = patched.spec ?? { containers: [] }
      expect({ ...written, tolerations: written.tolerations ?? [] }).toEqual({
        ...others,
        tolerations,
        ...(nodeSelector && { nodeSelector }),
      })
      expect(withPlacement(patched, namespace).spec).toEqual(withPlacement(pod, namespace).spec)
    }),
  )
})

it('adds what is missing, and nothing of what is there', () => {
  const own = { key: 'own', operator: 'Exists' }
  expect(placementPatch(podSample({ labels: virtual }), undefined)).toEqual([
    { op: 'add', path: '/spec/tolerations', value: [] },
    { op: 'add', path: '/spec/tolerations/-', value: anyVirtualNode },
    { op: 'add', path: '/spec/nodeSelector', value: {} },
    { op: 'add', path: '/spec/nodeSelector/type', value: 'virtual-kubelet' },
  ])
  const full = { tolerations: [own, anyVirtualNode], nodeSelector: { disk: 'ssd' } }
  expect(placementPatch(podSample({ labels: virtual, spec: full }), undefined)).toEqual([
    { op: 'add', path: '/spec/nodeSelector/type', value: 'virtual-kubelet' },
  ])
})

it('leaves others as they are', () => {
  const never = [
    {},
    { labels: { 'spillway.dev/placement': 'server' } },
    { labels: virtual, namespace: 'kube-system' },
    { labels: virtual, owner: 'DaemonSet' },
    { labels: virtual, spec: { nodeName: 'server-0' } },
  ]
  for (const sample of never) expect(placementPatch(podSample(sample), undefined)).toEqual([])
  expect(placementPatch(podSample({ labels: { 'spillway.dev/placement': 'auto' } }), out)).toEqual([])
})
