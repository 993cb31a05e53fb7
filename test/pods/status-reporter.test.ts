import { describe, expect, test } from 'vitest'
import type { KubeApi, Patch } from '../../src/kube/api.ts'
import type { ContainerEvidence } from '../../src/lifecycle/pod-actions.ts'
import type { Pod, PodStatus } from '../../src/model/kubernetes.ts'
import { podRef } from '../../src/model/pod-key.ts'
import { StatusReporter, statusPatch } from '../../src/pods/status-reporter.ts'
import { observed, running } from '../lifecycle/observations.ts'
import { aPod } from '../support/builders.ts'
import { FakeClock } from '../support/fake-clock.ts'

const never = new AbortController().signal

const ready = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }
const scheduled = { type: 'PodScheduled', status: 'True' }
const before: PodStatus = {
  phase: 'Running',
  podIP: '10.0.0.1',
  podIPs: [{ ip: '10.0.0.1' }],
  conditions: [scheduled, ready],
}

test('equal statuses need no write', () => {
  expect(statusPatch(before, structuredClone(before))).toBeUndefined()
})

test('only what differs is written, and of the conditions only those that changed', () => {
  const notReady = { ...ready, status: 'False' }
  expect(statusPatch(before, { ...before, conditions: [scheduled, notReady] })).toEqual({
    conditions: [notReady],
  })
})

test('addresses merge by ip in a strategic patch, so they are replaced as a whole', () => {
  const after = { ...before, podIP: '10.0.0.2', podIPs: [{ ip: '10.0.0.2' }] }
  expect(statusPatch(before, after)).toEqual({
    podIP: '10.0.0.2',
    podIPs: [{ ip: '10.0.0.2' }, { $patch: 'replace' }],
  })
})

test('what is no longer said is removed', () => {
  expect(statusPatch({ ...before, reason: 'Evicted' }, before)).toEqual({ reason: null })
})

test('the reason of a condition that holds again does not stay behind', () => {
  const unready = { ...ready, status: 'False', reason: 'ContainersNotReady', message: 'of one' }
  expect(statusPatch({ conditions: [unready] }, { conditions: [ready] })).toEqual({
    conditions: [{ ...ready, reason: null, message: null }],
  })
})

test('a time that the API server writes as null is no difference', () => {
  const stored = { ...ready, lastProbeTime: null } as unknown as typeof ready
  expect(statusPatch({ conditions: [stored] }, { conditions: [ready] })).toBeUndefined()
})

test('a condition of others is not written back for the null that the API server put into it', () => {
  const stored = { conditions: [{ ...scheduled, lastProbeTime: null }] } as unknown as PodStatus
  expect(statusPatch(stored, stored)).toBeUndefined()
})

test('a condition that is over is taken away', () => {
  const resizing = { type: 'PodResizeInProgress', status: 'True' }
  expect(statusPatch({ conditions: [ready, resizing] }, { conditions: [ready] })).toEqual({
    conditions: [{ type: 'PodResizeInProgress', $patch: 'delete' }],
  })
})

test('resources merge by name in a strategic patch, so they are replaced as a whole', () => {
  const resources = { requests: { cpu: '1' }, limits: { cpu: '2' } }
  const after = { resources: { requests: { cpu: '1' } }, allocatedResources: { cpu: '1' } }
  expect(statusPatch({ resources, allocatedResources: { cpu: '2' } }, after)).toEqual({
    resources: { requests: { cpu: '1' }, $patch: 'replace' },
    allocatedResources: { cpu: '1', $patch: 'replace' },
  })
})

test('where there were no resources there is nothing to replace, and the API server drops what stands beside a directive', () => {
  const after = { resources: { requests: { cpu: '1' } }, allocatedResources: { cpu: '1' } }
  expect(statusPatch({}, after)).toEqual(after)
})

describe('on an API server that drops what it does not know', () => {
  /** Keeps no users of containers, as before 1.31. */
  function olderServer(stored: Pod): { readonly api: KubeApi; readonly writes: object[] } {
    const writes: object[] = []
    const patch = (_resource: unknown, _object: unknown, { body }: Patch): Promise<Pod> => {
      writes.push(body as object)
      const { status = {} } = structuredClone(body) as Pod
      const containerStatuses = (status.containerStatuses ?? []).map((one) => ({ ...one, user: undefined }))
      // As JSON has it, a field that is undefined is none.
      stored.status = JSON.parse(
        JSON.stringify({ ...stored.status, ...status, containerStatuses }),
      ) as PodStatus
      return Promise.resolve(structuredClone(stored))
    }
    return { api: { patch } as unknown as KubeApi, writes }
  }

  const user = { uid: 0, gid: 0, supplementalGroups: [] }
  const none = { refusal: undefined, pendingResize: undefined, acceptedAtMs: undefined }

  test('a status is written once, again when something else changes, and again for the next Pod', async () => {
    const pod = aPod()
    const { api, writes } = olderServer(pod)
    const reporter = new StatusReporter({ api, nodeIps: ['192.0.2.1'], clock: new FakeClock() })
    const look = async (over: Partial<ContainerEvidence> = {}): Promise<number> => {
      const containers = [running('main', 10, { user, ...over })]
      await reporter.report({ pod: structuredClone(pod), observed: observed({ containers }), ...none }, never)
      return writes.length
    }
    await look()
    const settled = await look()
    expect(await look()).toBe(settled)
    expect(await look({ ready: false })).toBe(settled + 1)
    expect(await look({ ready: false })).toBe(settled + 1)
    reporter.settled(podRef(pod).uid)
    expect(await look({ ready: false })).toBe(settled + 2)
  })
})
