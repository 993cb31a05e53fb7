import { describe, expect, it } from 'vitest'
import { runTasks, superviseTask, type Task } from '../../src/control/tasks.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

const never = new AbortController().signal

/** A task that runs until it is told to end, and says so. */
function patient(ended: string[], name: string): Task {
  return (signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        ended.push(name)
        reject(signal.reason as Error)
      })
    })
}

describe('runTasks', () => {
  it('ends all tasks when one fails, and throws that failure once they have ended', async () => {
    const ended: string[] = []
    const failure = new Error('disk full')
    const tasks = { ledger: () => Promise.reject(failure), pods: patient(ended, 'pods') }
    await expect(runTasks(tasks, never)).rejects.toMatchObject({
      message: 'task ledger failed: disk full',
      cause: failure,
    })
    expect(ended).toEqual(['pods'])
  })

  it('keeps the code of an error of the table', async () => {
    const failure = new SpillwayError('LedgerTakenOver', 'another writes it')
    await expect(runTasks({ ledger: () => Promise.reject(failure) }, never)).rejects.toMatchObject({
      code: 'LedgerTakenOver',
      message: 'task ledger failed: another writes it',
    })
  })

  it('resolves when the signal is aborted and all have ended', async () => {
    const ended: string[] = []
    const stop = new AbortController()
    const running = runTasks({ a: patient(ended, 'a'), b: patient(ended, 'b') }, stop.signal)
    stop.abort(new Error('SIGTERM'))
    await running
    expect(ended).toEqual(['a', 'b'])
  })

  it('lets a task end by itself without ending the others', async () => {
    const ended: string[] = []
    const stop = new AbortController()
    const order: string[] = []
    const once: Task = async () => void order.push('once')
    const running = runTasks({ once, long: patient(ended, 'long') }, stop.signal).then(() =>
      order.push('all'),
    )
    await Promise.resolve()
    expect([order, ended]).toEqual([['once'], []])
    stop.abort(new Error('SIGTERM'))
    await running
    expect(order).toEqual(['once', 'all'])
  })
})

describe('superviseTask', () => {
  it('starts a loop again with growing delays, which begin anew after a healthy run', async () => {
    const clock = new FakeClock()
    const startsMs: number[] = []
    const stop = new AbortController()
    const task: Task = async (signal) => {
      startsMs.push(clock.monotonicMs())
      if (startsMs.length === 3) await clock.sleep(100_000, signal)
      throw new Error('broken')
    }
    const backoff = { firstMs: 100, longestMs: 10_000, factor: 2, jitter: 0 }
    const options = { name: 'loop', clock, random: () => 0.5, log: silentLog(), backoff }
    const running = superviseTask(options, task, stop.signal)
    await clock.advance(100_450)
    expect(startsMs).toEqual([0, 100, 300, 100_400])
    stop.abort(new Error('over'))
    await running
  })
})
