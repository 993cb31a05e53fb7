import { expect, it } from 'vitest'
import { doorsOf, nodeDoors } from '../../src/app/node-doors.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { Node } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'

function node(name: string, address: string, status: Node['status'] = {}): Node {
  const addresses = [
    { type: 'InternalIP', address },
    { type: 'Hostname', address: name },
  ]
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, uid: name }, status: { addresses, ...status } }
}

it('a node’s doors are its addresses, at the port that it tells and at kubelet’s for reading only', () => {
  expect(
    doorsOf(node('burst-0', '10.0.0.5', { daemonEndpoints: { kubeletEndpoint: { Port: 10_261 } } })),
  ).toEqual([
    { address: '10.0.0.5', port: 10_261 },
    { address: '10.0.0.5', port: 10_255 },
  ])
  expect(doorsOf(node('server-0', 'fd00::5'))[0]).toEqual({ address: 'fd00::5', port: 10_250 })
  expect(doorsOf({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'new' } })).toEqual([])
})

it('doors are live; what nodes write again and again is no change', () => {
  const store = new ObjectStore<Node>({ log: silentLog() })
  store.put(node('a', '10.0.0.1'))
  const doors = nodeDoors(store)
  let calls = 0
  const end = doors.onChange(() => calls++)
  store.put(node('a', '10.0.0.1', { conditions: [{ type: 'Ready', status: 'True' }] }))
  expect(calls).toBe(0)
  store.put(node('b', '10.0.0.2'))
  expect(calls).toBe(1)
  expect(doors.list().map(({ address }) => address)).toContain('10.0.0.2')
  end()
  store.put(node('c', '10.0.0.3'))
  expect(calls).toBe(1)
})
