import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { beforeAll, expect, test } from 'vitest'
import { events, pods, runtimeClasses } from '../../src/kube/resources.ts'
import { allowInPool } from '../support/allow-in-pool.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-host-access'
const told = story(namespace)
allowInPool(told, { allow: ['hostNetwork'], capabilities: [] })
const agnhost = 'registry.k8s.io/e2e-test-images/agnhost:2.66.1'
const hostPort = 31_999

const listening = {
  name: 'main',
  image: agnhost,
  args: ['netexec', '--http-port=8080', '--udp-port=8081'],
  ports: [
    { containerPort: 8080, hostPort },
    // The same number with another protocol is another port.
    { containerPort: 8081, hostPort, protocol: 'UDP' },
  ],
  readinessProbe: { httpGet: { path: '/healthz', port: 8080 } },
}

beforeAll(async () => {
  const { api, signal, until } = told.current
  const onBurst = (spec: object) => ({ ...outByHand, ...spec })
  const apiServer = { tcpSocket: { port: told.current.cluster.ports.apiServer } }
  const hostNetwork = scriptPod(
    { namespace, name: 'host-network' },
    'echo "$IP $(hostname)"; exec sleep 3600',
    onBurst({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }),
  )
  const [main] = hostNetwork.spec?.containers ?? []
  main!.env = [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]
  // Answers only at the machine's own address.
  main!.readinessProbe = apiServer
  await api.create(pods, hostNetwork, signal)
  await api.create(
    pods,
    scriptPod({ namespace, name: 'host-port' }, '', onBurst({ containers: [listening] })),
    signal,
  )
  await until('both Pods are ready', () => told.current.pods().filter(isReady).length === 2)
})

test('a Pod on the machine’s network has the node’s address, in its status and inside', async () => {
  const { pod, kubectl, cluster } = told.current
  expect(pod('host-network')?.status).toMatchObject({
    hostIP: cluster.nodeAddress,
    podIP: cluster.nodeAddress,
    podIPs: [{ ip: cluster.nodeAddress }],
  })
  expect((await kubectl('logs', 'host-network')).stdout.split(' ')[0]).toBe(cluster.nodeAddress)
  const resolver = await kubectl('exec', 'host-network', '--', 'cat', '/etc/resolv.conf')
  expect(resolver.stdout).toContain(`nameserver ${cluster.clusterDnsAddress}`)
})

test('a host port answers at the node’s address from outside of it', async () => {
  const { cluster, signal } = told.current
  const answer = await fetch(`http://${cluster.nodeAddress}:${hostPort}/hostname`, { signal })
  expect(await answer.text()).toBe('host-port')
  const socket = createSocket('udp4')
  try {
    const reply = once(socket, 'message', { signal })
    socket.send('hostname', hostPort, cluster.nodeAddress)
    expect(String((await reply)[0])).toBe('host-port')
  } finally {
    socket.close()
  }
})

test('a second Pod on the same machine waits for the port, whichever node it is on, and then has it', async () => {
  const { api, signal, until, pod } = told.current
  const first = pod('host-port')?.spec?.nodeName
  const other = first === 'burst-0' ? 'burst-1' : 'burst-0'
  const second = scriptPod({ namespace, name: 'second' }, '', { containers: [listening], nodeName: other })
  await api.create(pods, second, signal)
  await until('it is told why it waits', async () => {
    const { items } = await api.list(
      events,
      { namespace, fieldSelector: 'involvedObject.name=second' },
      signal,
    )
    return items.some(({ reason, message }) => reason === 'NodePorts' && message?.includes('host-port'))
  })
  expect(pod('second')?.status?.phase).toBe('Pending')
  await api.delete(pods, { namespace, name: 'host-port' }, { graceSeconds: 1 }, signal)
  await until('the second is ready', () => isReady(pod('second')))
})

test('a Pod of a RuntimeClass is told of a handler that is not offered, and runs with one that is', async () => {
  const { api, signal, until, pod } = told.current
  const overhead = { podFixed: { cpu: '50m', memory: '16Mi' } }
  for (const [name, handler] of [
    ['story-kata', 'kata'],
    ['story-runc', 'runc'],
  ] as const) {
    await api.create(runtimeClasses, { metadata: { name }, handler, overhead }, signal)
    const spec = { ...outByHand, runtimeClassName: name }
    await api.create(pods, scriptPod({ namespace, name }, 'exec sleep 3600', spec), signal)
  }
  try {
    await until('the one with runc is ready', () => isReady(pod('story-runc')))
    expect(pod('story-runc')?.spec?.overhead).toEqual(overhead.podFixed)
    await until('the other is told', async () => {
      const fieldSelector = 'involvedObject.name=story-kata,reason=FailedCreatePodSandBox'
      const { items } = await api.list(events, { namespace, fieldSelector }, signal)
      return items.some(({ message }) => message?.includes('"kata"') && message.includes('offered are: runc'))
    })
    expect(pod('story-kata')?.status?.phase).toBe('Pending')
  } finally {
    for (const name of ['story-kata', 'story-runc']) await api.delete(runtimeClasses, { name }, {}, signal)
  }
})
