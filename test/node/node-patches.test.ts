import { describe, expect, it } from 'vitest'
import type { Node } from '../../src/model/kubernetes.ts'
import { nodeObject } from '../../src/node/node-object.ts'
import { objectPatch, statusDiffers, statusPatch } from '../../src/node/node-patches.ts'
import { nodeInputSample } from './samples.ts'

const wanted = nodeObject(nodeInputSample(), [])
const fine = { backend: false, sandbox: false, ledger: false }
const theirs = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }

function stored(change: (node: Node) => void = () => undefined, base = wanted): Node {
  const node = structuredClone(base)
  change(node)
  return node
}

describe('objectPatch', () => {
  it('is none when nothing of ours differs, whatever others added', () => {
    const node = stored(({ metadata, spec }) => {
      metadata!.labels!['theirs'] = 'x'
      metadata!.annotations!['theirs'] = 'x'
      spec!.taints!.push(theirs)
      spec!.unschedulable = true
    })
    expect(objectPatch(node, wanted, fine)).toBeUndefined()
  })

  it('puts back what was taken away, with the version it was seen at', () => {
    const seen = { ...wanted, metadata: { ...wanted.metadata, resourceVersion: '7' } }
    const node = stored(({ metadata, spec }) => {
      delete metadata!.labels!['type']
      spec!.taints = [theirs]
    }, seen)
    expect(objectPatch(node, wanted, fine)).toEqual({
      metadata: { resourceVersion: '7', labels: { type: 'virtual-kubelet' } },
      spec: { taints: [theirs, ...(wanted.spec?.taints ?? [])] },
    })
  })

  it('takes away what the pool no longer has, and only that', () => {
    const pool = { labels: { disk: 'ssd' }, taints: [{ key: 'team', effect: 'NoSchedule' }] }
    const node = stored(({ spec }) => spec!.taints!.push(theirs), nodeObject(nodeInputSample(pool), []))
    expect(objectPatch(node, wanted, fine)).toMatchObject({
      metadata: { labels: { disk: null } },
      spec: { taints: [...(wanted.spec?.taints ?? []), theirs] },
    })
  })

  describe('of a pool that is cordoned', () => {
    const open = nodeObject(nodeInputSample(), [])
    const cordoned = nodeObject(nodeInputSample({ cordoned: true }), [])
    const written = (node: Node, toward: Node): Node => {
      const { metadata, spec } = objectPatch(node, toward, fine) as Node & {
        spec?: { unschedulable?: true | null }
      }
      const after = structuredClone(node)
      Object.assign(after.metadata!.annotations!, metadata?.annotations)
      if (spec && 'unschedulable' in spec) after.spec!.unschedulable = spec.unschedulable ?? false
      return after
    }

    it('the node is cordoned once, and uncordoned with the pool', () => {
      const closed = written(stored(undefined, open), cordoned)
      expect(closed.spec?.unschedulable).toBe(true)
      expect(objectPatch(closed, cordoned, fine)).toBeUndefined()
      expect(written(closed, open).spec?.unschedulable).toBe(false)
    })

    it('the node that people had cordoned stays so afterwards', () => {
      const byHand = stored(({ spec }) => (spec!.unschedulable = true), open)
      expect(written(written(byHand, cordoned), open).spec?.unschedulable).toBe(true)
    })

    it('the node that people open again stays open, unless it is on its way out', () => {
      const closed = written(stored(undefined, open), cordoned)
      const opened = stored(({ spec }) => (spec!.unschedulable = false), closed)
      expect(objectPatch(opened, cordoned, fine)).toBeUndefined()
      const leaving = nodeObject({ ...nodeInputSample(), use: { retiring: true, inUse: false } }, [])
      expect(written(opened, leaving).spec?.unschedulable).toBe(true)
    })
  })

  it('keeps new Pods off while the backend is lost, and lets them come again', () => {
    const lost = { key: 'spillway.dev/backend-unavailable', effect: 'NoSchedule' }
    const taints = [...(wanted.spec?.taints ?? []), lost]
    expect(objectPatch(stored(), wanted, { ...fine, backend: true })).toMatchObject({ spec: { taints } })
    const node = stored(({ spec }) => spec!.taints!.push(lost))
    expect(objectPatch(node, wanted, { ...fine, backend: true })).toBeUndefined()
    expect(objectPatch(node, wanted, fine)).toMatchObject({ spec: { taints: wanted.spec?.taints } })
  })

  it('keeps new Pods off while the ledger is in trouble, whatever the backend is', () => {
    const lost = { key: 'spillway.dev/ledger-unavailable', effect: 'NoSchedule' }
    const all = { backend: true, sandbox: true, ledger: true }
    const patch = objectPatch(stored(), wanted, all) as Node
    expect(patch.spec?.taints?.map(({ key }) => key).slice(-3)).toEqual([
      'spillway.dev/backend-unavailable',
      'spillway.dev/no-sandbox-handler',
      lost.key,
    ])
    const node = stored(({ spec }) => spec!.taints!.push(lost))
    expect(objectPatch(node, wanted, { ...fine, ledger: true })).toBeUndefined()
    expect(objectPatch(node, wanted, fine)).toMatchObject({ spec: { taints: wanted.spec?.taints } })
  })

  it('keeps new Pods off while there is nothing to make sandboxes by', () => {
    const none = { key: 'spillway.dev/no-sandbox-handler', effect: 'NoSchedule' }
    const taints = [...(wanted.spec?.taints ?? []), none]
    expect(objectPatch(stored(), wanted, { ...fine, sandbox: true })).toMatchObject({ spec: { taints } })
    const node = stored(({ spec }) => spec!.taints!.push(none))
    expect(objectPatch(node, wanted, fine)).toMatchObject({ spec: { taints: wanted.spec?.taints } })
  })

  it('touches nothing of others when our annotation is broken', () => {
    const node = stored(({ metadata }) => {
      metadata!.annotations!['spillway.dev/applied'] = '{"labels":'
      metadata!.labels!['theirs'] = 'x'
    })
    expect(objectPatch(node, wanted, fine)).toEqual({
      metadata: { annotations: { 'spillway.dev/applied': expect.any(String) } },
    })
  })
})

describe('the status', () => {
  const status = wanted.status!

  it('does not differ by what others and the API server add', () => {
    const more = { ...status, conditions: [{ type: 'Theirs', status: 'True' }], volumesInUse: ['v'] }
    expect(statusDiffers(more, status)).toBe(false)
  })

  it('differs by an amount, an address or a port of ours', () => {
    expect(statusDiffers({ ...status, allocatable: { ...status.allocatable, cpu: '1' } }, status)).toBe(true)
    expect(statusDiffers({ ...status, addresses: [] }, status)).toBe(true)
    expect(statusDiffers({ ...status, daemonEndpoints: { kubeletEndpoint: { Port: 1 } } }, status)).toBe(true)
    expect(statusDiffers(undefined, status)).toBe(true)
  })

  it('differs by what the node can no longer do, but not by an empty list that the server does not keep', () => {
    const more = [...(status.runtimeHandlers ?? []), { name: 'runsc', features: {} }]
    expect(statusDiffers({ ...status, runtimeHandlers: more }, status)).toBe(true)
    const nothing = { ...status, declaredFeatures: [] }
    const { declaredFeatures: _dropped, ...kept } = nothing
    expect(statusDiffers(kept, nothing)).toBe(false)
  })

  it('loses a resource that the pool no longer offers', () => {
    const before = { ...status, capacity: { ...status.capacity, 'example.com/old': '1' } }
    expect(statusDiffers(before, status)).toBe(true)
    expect(statusPatch(before, status)).toMatchObject({
      status: { capacity: { ...status.capacity, 'example.com/old': null }, allocatable: status.allocatable },
    })
  })
})
