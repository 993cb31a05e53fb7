import fc from 'fast-check'
import { expect, it } from 'vitest'
import { untoleratedTaints } from '../../src/lifecycle/tolerations.ts'
import { nodeMatches } from '../../src/lifecycle/node-affinity.ts'
import type { Node } from '../../src/model/kubernetes.ts'
import { keepOffPatch } from '../../src/scheduling/daemonset-affinity.ts'
import { daemonSetOfWish, daemonSetWish } from '../support/admission-samples.ts'
import { applyJsonPatch } from '../support/apply-json-patch.ts'
import { serverSample, virtualSample } from './samples.ts'

const servers = [serverSample(), serverSample({ name: 'server-1', labels: { disk: 'ssd', type: 'own' } })]
// Of the second a term is met that says nothing of virtual nodes.
const virtualNodes = [virtualSample(), virtualSample('fast', { labels: { disk: 'ssd' } })]

it('keeps every DaemonSet off virtual nodes, and off no server', () => {
  fc.assert(
    fc.property(daemonSetWish, (wish) => {
      const written = daemonSetOfWish(wish, 'agent')
      const kept = applyJsonPatch(written, keepOffPatch(written))
      const wanted = (set: typeof written, node: Node): boolean => {
        const pod = { spec: set.spec.template.spec }
        return nodeMatches(pod, node) && untoleratedTaints(pod, node).length === 0
      }
      for (const virtual of virtualNodes) expect(wanted(kept, virtual)).toBe(false)
      for (const server of servers) expect(wanted(kept, server)).toBe(wanted(written, server))
      // It may come back through us as often as it likes.
      expect(keepOffPatch(kept)).toEqual([])
    }),
  )
})

it('adds to each term, of which one that is kept off already is no reason to stop', () => {
  const keptOff = { key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] }
  const ssd = { key: 'disk', operator: 'In', values: ['ssd'] }
  const nodeSelectorTerms = [{ matchExpressions: [keptOff] }, { matchExpressions: [ssd] }]
  const affinity = {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
  }
  const written = daemonSetOfWish({ tolerations: [{ operator: 'Exists' }], affinity }, 'agent')
  expect(keepOffPatch(written)).toEqual([
    {
      op: 'add',
      path: '/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution',
      value: {
        nodeSelectorTerms: [{ matchExpressions: [keptOff, keptOff] }, { matchExpressions: [ssd, keptOff] }],
      },
    },
  ])
})

it('leaves those as they are that do not come', () => {
  const evictable = { tolerations: [{ operator: 'Exists', effect: 'NoExecute' }], affinity: undefined }
  expect(keepOffPatch(daemonSetOfWish(evictable, 'agent'))).toEqual([])
  expect(keepOffPatch(daemonSetOfWish({ tolerations: undefined, affinity: undefined }, 'agent'))).toEqual([])
})
