import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SeenContainer } from '../../../../src/backends/cri/pod/observe.ts'
import { containerMarks } from '../../../../src/backends/cri/marks.ts'
import type { Container } from '../../../../src/model/kubernetes.ts'
import { settled } from '../../../support/fake-clock.ts'
import { containerOf } from '../fake-sources.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { sandbox } from '../seen.ts'

const { signal } = new AbortController()
let pod: OnePod

beforeEach(async () => {
  pod = await OnePod.open()
})

afterEach(async () => await pod.close())

function stop(seen: SeenContainer, graceSeconds: number, turn?: Promise<void>): Promise<void> {
  const { handle, clock } = pod
  const deadlineMs = clock.wallMs() + graceSeconds * 1000
  const wish = { seen, deadlineMs, message: 'Stopping container', ...(turn && { turn }) }
  return handle.stops.stop(handle, wish, signal)
}

async function running(name: string, lifecycle?: Container['lifecycle']): Promise<SeenContainer> {
  const container = containerOf({ name, ...(lifecycle && { lifecycle }) })
  const marks = { generation: 1, container, backoffMs: 0, podIp: '10.0.0.7', given: {} }
  const seen = containerNamed(name, 0, { annotations: containerMarks(marks) })
  await pod.put(sandbox(), seen)
  return seen
}

/** The runtime takes its time; answers how to let it go on. */
function slowRuntime(): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  pod.runtime.before = () => promise
  return resolve
}

describe('the end of a container', () => {
  it('is over when the picture shows it', async () => {
    await stop(await running('main'), 30)
    expect(pod.runtime.calls).toEqual(['stop main 30'])
    expect(pod.handle.picture.running).toEqual([])
    expect(pod.told).toEqual([
      {
        type: 'Normal',
        reason: 'Killing',
        message: 'Stopping container',
        fieldPath: 'spec.containers{main}',
      },
    ])
  })

  it('is one, however many want it: who comes later awaits the same', async () => {
    const goOn = slowRuntime()
    const seen = await running('main')
    let over = 0
    const both = Promise.all([1, 2].map(() => stop(seen, 30).then(() => over++)))
    await settled()
    expect(over).toBe(0)
    goOn()
    await both
    expect(pod.runtime.calls).toEqual(['stop main 30'])
    expect(pod.told).toHaveLength(1)
  })

  it('comes nearer with a wish for less grace, and never goes away with one for more', async () => {
    const goOn = slowRuntime()
    const seen = await running('main')
    const first = stop(seen, 30)
    await settled()
    const ends = [first, stop(seen, 300), stop(seen, 5), stop(seen, 10)]
    await settled()
    expect(pod.runtime.calls).toEqual(['stop main 30', 'stop main 5'])
    goOn()
    await Promise.all(ends)
  })

  it('fails for all who await it, and can be tried again', async () => {
    const seen = await running('main')
    pod.runtime.before = () => Promise.reject(new Error('no room to note the end'))
    const ends = await Promise.allSettled([stop(seen, 30), stop(seen, 30)])
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(pod.told.at(-1)).toMatchObject({
      reason: 'FailedKillPod',
      message: 'error killing pod: no room to note the end',
    })
    pod.runtime.before = () => undefined
    await stop(seen, 4)
    expect(pod.runtime.calls).toEqual(['stop main 30', 'stop main 4'])
  })

  it('is no error of one that the runtime has no more', async () => {
    const seen = await running('main')
    pod.runtime.containers.clear()
    await stop(seen, 30)
    expect(pod.handle.picture.containers).toEqual([])
  })

  it('leaves two seconds to the process, also without any grace', async () => {
    await stop(await running('main'), 0)
    expect(pod.runtime.calls).toEqual(['stop main 2'])
  })
})

describe('the grace of a container', () => {
  const hook = { preStop: { sleep: { seconds: 60 } } }

  it('is what its preStop hook leaves of it', async () => {
    const over = stop(await running('main', hook), 90)
    await pod.clock.whenPending(2)
    expect(pod.runtime.calls).toEqual([])
    await pod.clock.advance(60_000)
    await over
    expect(pod.runtime.calls).toEqual(['stop main 30'])
  })

  it('cuts the preStop hook short', async () => {
    const over = stop(await running('main', hook), 20)
    await pod.clock.whenPending(2)
    await pod.clock.advance(20_000)
    await over
    expect(pod.runtime.calls).toEqual(['stop main 2'])
  })

  it('cuts the preStop hook shorter when the Pod is hurried', async () => {
    const over = stop(await running('main', hook), 50)
    await pod.clock.whenPending(2)
    await pod.clock.advance(1000)
    pod.handle.stops.hurry(pod.clock.wallMs() + 9000)
    pod.handle.stops.hurry(pod.clock.wallMs() + 40_000)
    await pod.clock.advance(8999)
    expect(pod.runtime.calls).toEqual([])
    await pod.clock.advance(1)
    await over
    expect(pod.runtime.calls).toEqual(['stop main 2'])
  })

  it('has room for no preStop hook when there is none', async () => {
    await stop(await running('main', hook), 0)
    expect(pod.clock.pending).toBe(0)
    expect(pod.runtime.calls).toEqual(['stop main 2'])
  })

  it('is waited through for the turn of a sidecar, and no longer', async () => {
    const { promise: turn, resolve: takeTurn } = Promise.withResolvers<void>()
    const first = stop(await running('proxy'), 30, turn)
    const never = stop(await running('log-shipper'), 15, new Promise(() => undefined))
    await pod.clock.whenPending(2)
    await pod.clock.advance(15_000)
    await never
    expect(pod.runtime.calls).toEqual(['stop log-shipper 2'])
    takeTurn()
    await first
    expect(pod.runtime.calls).toEqual(['stop log-shipper 2', 'stop proxy 15'])
  })

  it('is no one else’s: only containers that are being ended are hurried', async () => {
    const seen = await running('main')
    pod.handle.stops.hurry(pod.clock.wallMs())
    await stop(seen, 30)
    pod.handle.stops.hurry(pod.clock.wallMs())
    await settled()
    expect(pod.runtime.calls).toEqual(['stop main 30'])
  })
})
