import { describe, expect, it } from 'vitest'
import { untilAborted } from '../../src/control/tasks.ts'
import type { KubeApi, ObjectName, Patch } from '../../src/kube/api.ts'
import { EventRecorder, type EventNote } from '../../src/kube/events.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { CoreEvent } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

const object = { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web-1', uid: 'u1' }

function note(more: Partial<EventNote> = {}): EventNote {
  return { object, type: 'Normal', reason: 'Pulled', message: 'pulled "nginx"', ...more }
}

interface Recording {
  readonly clock: FakeClock
  readonly recorder: EventRecorder
  readonly created: CoreEvent[]
  readonly patched: unknown[]
  /** Errors to answer the next writes with. */
  readonly failures: SpillwayError[]
  readonly start: () => void
  readonly end: () => Promise<void>
}

function record(maxQueued = 100, answer = async (_signal: AbortSignal) => {}): Recording {
  const clock = new FakeClock()
  const created: CoreEvent[] = []
  const patched: unknown[] = []
  const failures: SpillwayError[] = []
  const failNow = (): void => {
    const failure = failures.shift()
    if (failure) throw failure
  }
  const api = {
    create: async (_resource: unknown, event: CoreEvent, signal: AbortSignal) => {
      await answer(signal)
      failNow()
      created.push(event)
      return event
    },
    patch: async (_resource: unknown, { name }: ObjectName, { body }: Patch) => {
      failNow()
      patched.push([name, body])
    },
  } as unknown as Pick<KubeApi, 'create' | 'patch'>
  const options = {
    api,
    component: 'spillway',
    instance: 'burst-0',
    clock,
    random: () => 0.5,
    log: silentLog(),
  }
  const recorder = new EventRecorder({ ...options, maxQueued })
  const stop = new AbortController()
  let running: Promise<void> | undefined
  const start = (): void => {
    running = recorder.run(stop.signal)
  }
  const end = async (): Promise<void> => {
    stop.abort(new Error('over'))
    await running
  }
  return { clock, recorder, created, patched, failures, start, end }
}

describe('EventRecorder', () => {
  it('writes a core/v1 Event that kubectl describe shows', async () => {
    const { recorder, created, start, end } = record()
    start()
    recorder.record(note({ fieldPath: 'spec.containers{web}', instance: 'burst-7' }))
    await end()
    expect(created).toEqual([
      {
        metadata: { namespace: 'shop', name: expect.stringMatching(/^web-1\.[0-9a-f]+$/) as string },
        involvedObject: { ...object, fieldPath: 'spec.containers{web}' },
        type: 'Normal',
        reason: 'Pulled',
        message: 'pulled "nginx"',
        source: { component: 'spillway', host: 'burst-7' },
        reportingComponent: 'spillway',
        reportingInstance: 'burst-7',
        firstTimestamp: '2026-01-01T00:00:00Z',
        lastTimestamp: '2026-01-01T00:00:00Z',
        count: 1,
      },
    ])
  })

  it('puts events of cluster-scoped objects into namespace default', async () => {
    const { recorder, created, start, end } = record()
    start()
    recorder.record(note({ object: { apiVersion: 'v1', kind: 'Node', name: 'burst-0', uid: 'n1' } }))
    await end()
    expect(created[0]?.metadata.namespace).toBe('default')
    expect(created[0]?.involvedObject).not.toHaveProperty('namespace')
  })

  it('counts the same event up instead of writing it again', async () => {
    const { clock, recorder, created, patched, start, end } = record()
    recorder.record(note())
    recorder.record(note())
    start()
    await clock.advance(1000)
    expect(created.map(({ count }) => count)).toEqual([2])
    await clock.advance(5000)
    recorder.record(note())
    recorder.record(note({ message: 'pulled "redis"' }))
    await end()
    expect(patched).toEqual([
      [created[0]?.metadata.name, { count: 3, lastTimestamp: '2026-01-01T00:00:06Z' }],
    ])
    expect(created.map(({ message }) => message)).toEqual(['pulled "nginx"', 'pulled "redis"'])
  })

  it('writes an event anew that the API server has let expire, with its count', async () => {
    const { clock, recorder, created, failures, start, end } = record()
    start()
    recorder.record(note())
    await clock.advance(1000)
    failures.push(new SpillwayError('NotFound', 'gone'))
    recorder.record(note())
    await end()
    expect(created.map(({ count }) => count)).toEqual([1, 2])
  })

  it('lets one object cause 25 events at once, then one in five minutes, without touching others', async () => {
    const { clock, recorder, created, start, end } = record()
    for (let i = 0; i < 30; i += 1) recorder.record(note({ message: `try ${i}` }))
    recorder.record(note({ object: { ...object, name: 'web-2', uid: 'u2' } }))
    start()
    await clock.advance(1000)
    expect([created.length, recorder.dropped]).toEqual([26, 5])
    await clock.advance(300_000)
    recorder.record(note({ message: 'later' }))
    recorder.record(note({ message: 'too soon' }))
    await end()
    expect(created.at(-1)?.message).toBe('later')
  })

  it('drops what does not fit while nobody can be told, and never throws', async () => {
    const { recorder, created, start, end } = record(2)
    for (const name of ['a', 'b', 'c']) recorder.record(note({ object: { ...object, name, uid: name } }))
    expect(recorder.dropped).toBe(1)
    start()
    await end()
    expect(created.map(({ involvedObject }) => involvedObject.name)).toEqual(['a', 'b'])
  })

  it('outlives an API server that is away, but not what is refused for good', async () => {
    const { clock, recorder, created, failures, start, end } = record()
    failures.push(new SpillwayError('Unavailable', 'ECONNREFUSED'), new SpillwayError('Unavailable', 'again'))
    start()
    recorder.record(note())
    await clock.advance(60_000)
    await clock.advance(1000)
    expect(created).toHaveLength(1)
    failures.push(new SpillwayError('Forbidden', 'namespace is being terminated'))
    recorder.record(note({ message: 'too late' }))
    await end()
    expect([created.length, recorder.dropped]).toEqual([1, 1])
  })

  it('tells at once of what goes wrong, and of the rest when it is no longer in the way', async () => {
    const { clock, recorder, created, start, end } = record()
    start()
    recorder.record(note({ reason: 'Pulled', object: { ...object, name: 'web-2', uid: 'u2' } }))
    recorder.record(note({ reason: 'Pulling' }))
    recorder.record(note({ reason: 'Failed', type: 'Warning' }))
    await clock.advance(999)
    // After what went before it of the same Pod.
    expect(created.map(({ reason }) => reason)).toEqual(['Pulling', 'Failed'])
    await clock.advance(1)
    expect(created.map(({ reason }) => reason)).toEqual(['Pulling', 'Failed', 'Pulled'])
    await end()
  })

  it('tries what is left once more at its end, and gives up on what the API server does not take', async () => {
    const { clock, recorder, created, failures, start, end } = record()
    start()
    failures.push(new SpillwayError('Unavailable', 'ECONNREFUSED'), new SpillwayError('Unavailable', 'again'))
    recorder.record(note({ type: 'Warning', reason: 'Failed' }))
    await clock.advance(0)
    recorder.record(note({ reason: 'Pulled' }))
    recorder.record(note({ reason: 'Started' }))
    await end()
    expect(created.map(({ reason }) => reason)).toEqual(['Started'])
    expect(recorder.dropped).toBe(2)
  })

  it('does not wait for an API server that gives no answer at its end', async () => {
    const { clock, recorder, start, end } = record(100, noAnswer)
    start()
    recorder.record(note())
    const ended = end()
    await clock.advance(1000)
    await ended
    expect(recorder.dropped).toBe(1)
  })
})

/** Answers nothing until it is told to stop. */
async function noAnswer(signal: AbortSignal): Promise<never> {
  await untilAborted(signal)
  throw signal.reason
}
