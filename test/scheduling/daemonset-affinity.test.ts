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

it('keeps every DaemonSet off virtual nodes, and off no server', () => {
  fc.assert(
    fc.property(daemonSetWish, (wish) => {
      const written = daemonSetOfWish(wish, 'agent')
      const kept = applyJsonPatch(written, keepOffPatch(written))
      const wanted = (set: typeof written, node: Node): boolean => {
        const pod = { spec: set.spec.template.spec }
        return nodeMatches(pod, node) && untoleratedTaints(pod, node).length === 0
      }
      expect(wanted(kept, virtualSample())).toBe(false)
      for (const server of servers) expect(wanted(kept, server)).toBe(wanted(written, server))
      // It may come back through us as often as it likes.
      expect(keepOffPatch(kept)).toEqual([])
    }),
  )
})

it('leaves those as they are that do not come', () => {
  const evictable = { tolerations: [{ operator: 'Exists', effect: 'NoExecute' }], affinity: undefined }
  expect(keepOffPatch(daemonSetOfWish(evictable, 'agent'))).toEqual([])
  expect(keepOffPatch(daemonSetOfWish({ tolerations: undefined, affinity: undefined }, 'agent'))).toEqual([])
})
