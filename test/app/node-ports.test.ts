import { expect, test } from 'vitest'
import { NodePorts } from '../../src/app/node-ports.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { Node } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'

function portsBeside(...registered: readonly [name: string, port: number, providerID?: string][]): NodePorts {
  const store = new ObjectStore<Node>({ log: silentLog() })
  store.replaceAll(
    registered.map(([name, Port, providerID = `spillway://${name.replace(/-(\d+)$/, '/$1')}`]) => ({
      metadata: { name, uid: name },
      spec: { providerID },
      status: { daemonEndpoints: { kubeletEndpoint: { Port } } },
    })),
  )
  return new NodePorts(10_260, store)
}

test('nodes get the ports from the first upwards, and those that were given back', () => {
  const ports = portsBeside()
  expect(['a-0', 'a-1', 'b-0'].map((name) => ports.take(name))).toEqual([10_260, 10_261, 10_262])
  ports.giveBack('a-1')
  expect(ports.take('c-0')).toBe(10_261)
})

test('after a restart each node has its own again, in whichever order they come', () => {
  const ports = portsBeside(['a-0', 10_260], ['a-1', 10_261])
  expect(ports.take('new-0')).toBe(10_262)
  expect(ports.take('a-1')).toBe(10_261)
  expect(ports.take('a-0')).toBe(10_260)
})

test('what a Node of others says counts nothing, nor a port below the first', () => {
  const ports = portsBeside(['server-0', 10_260, 'kind://server-0'], ['a-0', 10_250])
  expect(ports.take('a-0')).toBe(10_260)
})

test('a port that somebody else has is left to them', () => {
  const ports = portsBeside(['a-0', 10_260])
  expect(ports.take('a-0')).toBe(10_260)
  expect(ports.another('a-0')).toBe(10_261)
  ports.giveBack('a-0')
  expect(ports.take('a-0')).toBe(10_261)
})
