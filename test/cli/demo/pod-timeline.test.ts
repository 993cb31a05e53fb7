import { expect, test } from 'vitest'
import { extendTimeline, Timelines } from '../../../src/cli/demo/pod-timeline.ts'
import type { Pod } from '../../../src/model/kubernetes.ts'

const created: Pod = { metadata: { uid: 'u', name: 'web-1' }, spec: { containers: [] } }
const unschedulable: Pod = {
  ...created,
  status: { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }] },
}
const sent: Pod = {
  ...unschedulable,
  spec: { containers: [], tolerations: [{ key: 'spillway.dev/virtual-node' }] },
}
const ready: Pod = {
  ...sent,
  spec: { containers: [], tolerations: sent.spec?.tolerations ?? [], nodeName: 'burst-0' },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
}

test('each phase is kept at the time that it was first seen', () => {
  const looks: [Pod, number][] = [
    [created, 0],
    [unschedulable, 10],
    [sent, 20],
    [sent, 25],
    [ready, 300],
    [ready, 400],
  ]
  const timeline = looks.reduce<ReturnType<typeof extendTimeline>>(
    (before, [pod, ms]) => extendTimeline(before, pod, ms),
    undefined,
  )
  expect(timeline).toEqual({
    uid: 'u',
    name: 'web-1',
    node: 'burst-0',
    createdMs: 0,
    unschedulableMs: 10,
    sentMs: 20,
    boundMs: 300,
    readyMs: 300,
  })
})

test('a Pod that is gone or going does not count as living', () => {
  const timelines = new Timelines()
  timelines.observe(undefined, created, 0)
  expect(timelines.living()).toHaveLength(1)
  timelines.observe(created, undefined, 5)
  expect(timelines.living()).toHaveLength(0)
  expect(timelines.all()[0]).toMatchObject({ createdMs: 0, goneMs: 5 })
})
