import { beforeEach, expect, test } from 'vitest'
import { ObjectStore } from '../../src/kube/store.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { DesiredPods } from '../../src/pods/desired-pods.ts'
import { silentLog } from '../../src/telemetry/log.ts'

const uid = asPodUid('u')

function pod(resourceVersion: string, phase?: string): Pod {
  return {
    metadata: { uid, namespace: 'n', name: 'p', resourceVersion },
    ...(phase && { status: { phase } }),
  }
}

let store: ObjectStore<Pod>
let desired: DesiredPods
beforeEach(() => {
  store = new ObjectStore<Pod>({ log: silentLog() })
  desired = new DesiredPods(store, () => {})
  store.replaceAll([])
})

test('what was never seen is unknown, what was seen to go is deleted', () => {
  expect(desired.get(uid).kind).toBe('unknown')
  store.put(pod('1'))
  expect(desired.get(uid).kind).toBe('present')
  store.remove(pod('1'))
  expect(desired.get(uid)).toMatchObject({ kind: 'deleted', lastSeen: { metadata: { name: 'p' } } })
  desired.settled(uid)
  expect(desired.get(uid).kind).toBe('unknown')
})

test('our own last write is read before the watch brings it back, and no longer', () => {
  store.put(pod('9'))
  desired.wrote(uid, pod('10', 'Running'))
  expect(desired.get(uid)).toMatchObject({ pod: { status: { phase: 'Running' } } })
  store.put(pod('11', 'Failed'))
  expect(desired.get(uid)).toMatchObject({ pod: { status: { phase: 'Failed' } } })
})
