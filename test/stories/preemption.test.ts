/** A critical Pod that finds no room on its node: what the real kubelet does, and a virtual node. */
import { expect, test } from 'vitest'
import { events, nodes, pods } from '../../src/kube/resources.ts'
import { parseCpuMillis } from '../../src/model/quantity.ts'
import { comparableStatus } from '../support/comparable-status.ts'
import { isReady, story } from '../support/story.ts'
import { scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-preemption'
const told = story(namespace)
// Not with 0: the real kubelet sometimes forgets then that it was it who ended the Pod.
const forever = 'trap "exit 7" TERM; while true; do sleep 0.1; done'

/** By its nodeName, past the scheduler, which would preempt by itself. */
async function create(
  on: string,
  name: string,
  cpuMillis: bigint,
  priorityClassName?: string,
): Promise<void> {
  const { api, signal } = told.current
  const resources = { requests: { cpu: `${cpuMillis}m` } }
  const image = 'docker.io/library/busybox:1.37'
  const spec = {
    nodeName: on,
    containers: [{ name: 'main', image, command: ['sh', '-c', forever], resources }],
    ...(priorityClassName !== undefined && { priorityClassName }),
  }
  await api.create(pods, scriptPod({ namespace, name }, '', spec), signal)
}

test('another Pod makes room for it, as on a server', async () => {
  const { api, signal, until } = told.current
  const outcomes: unknown[] = []
  for (const node of ['burst-1', 'server-0']) {
    const { status } = await api.get(nodes, { name: node }, signal)
    const all = parseCpuMillis(status?.allocatable?.['cpu'] ?? '0')
    // Both nodes are left with 200m, and have the same Pod as the one to end: of what suffices the smallest.
    await create(node, `other-${node}`, all - 900n)
    await create(node, `victim-${node}`, 700n)
    for (const name of [`other-${node}`, `victim-${node}`]) {
      await until(`${name} is ready`, () => isReady(told.current.pod(name)))
    }
    await create(node, `critical-${node}`, 400n, 'system-node-critical')
    await until('the critical one is ready', () => isReady(told.current.pod(`critical-${node}`)))
    const victim = () => told.current.pod(`victim-${node}`)
    await until('the victim is over', () => victim()?.status?.phase === 'Failed')
    expect(isReady(told.current.pod(`other-${node}`))).toBe(true)
    const warned = async () => {
      const fieldSelector = `involvedObject.name=victim-${node},reason=Preempting`
      return (await api.list(events, { namespace, fieldSelector }, signal)).items
    }
    await until('people are told', async () => (await warned()).length > 0)
    outcomes.push({
      status: comparableStatus(victim()),
      events: (await warned()).map(({ type, message }) => ({ type, message })),
    })
  }
  expect(outcomes[0]).toMatchObject({ status: { reason: 'Preempting' } })
  expect(outcomes[0]).toEqual(outcomes[1])
})
