import { describe, expect, it } from 'vitest'
import { createTerminalProgress, duration, progressLine } from '../../src/dev-cluster/progress.ts'
import { FakeClock } from '../support/fake-clock.ts'

const steps = [
  { name: 'kube-apiserver', weightSeconds: 240 },
  { name: 'kubelet', weightSeconds: 60 },
]

describe('a progress line', () => {
  it('says what, how far, how long so far and how long it will take', () => {
    const state = { title: 'building', steps, current: 0, elapsedMs: 65_000, elapsedInStepMs: 65_000 }
    expect(progressLine(state)).toBe('building: kube-apiserver (1 of 2), 1m05s so far, about 4m to go')
  })

  it('estimates the rest by the pace of what is finished', () => {
    // The first step took a quarter of its weight, so the second will, too.
    const state = { title: 'building', steps, current: 1, elapsedMs: 60_000, elapsedInStepMs: 0 }
    expect(progressLine(state)).toBe('building: kubelet (2 of 2), 1m00s so far, about 15s to go')
  })

  it('does not count below zero when a step takes longer than thought', () => {
    const state = { title: 'building', steps, current: 1, elapsedMs: 999_000, elapsedInStepMs: 700_000 }
    expect(progressLine(state)).toBe('building: kubelet (2 of 2), 16m39s so far, nearly done')
  })

  it('writes durations short', () => {
    expect([0, 44_900, 60_000, 3_725_000].map(duration)).toEqual(['0s', '44s', '1m00s', '1h02m'])
  })
})

describe('progress on a stream', () => {
  const streamed = (
    isTTY: boolean,
  ): {
    clock: FakeClock
    said: string[]
    begin: () => ReturnType<ReturnType<typeof createTerminalProgress>['begin']>
  } => {
    const clock = new FakeClock()
    const said: string[] = []
    const progress = createTerminalProgress({ write: (text) => said.push(text), isTTY, columns: 200 }, clock)
    return { clock, said, begin: () => progress.begin('building', steps) }
  }

  it('is silent about what is over at once', async () => {
    const { clock, said, begin } = streamed(false)
    const task = begin()
    await clock.advance(1000)
    task.end('done')
    await clock.advance(60_000)
    expect(said).toEqual([])
  })

  it('is a plain line now and then in a log, and one at the end', async () => {
    const { clock, said, begin } = streamed(false)
    const task = begin()
    await clock.advance(2000)
    expect(said).toEqual(['building: kube-apiserver (1 of 2), 1s so far, about 5m to go\n'])
    await clock.advance(15_000)
    expect(said).toHaveLength(2)
    task.end('failed')
    expect(said.at(-1)).toBe('building: failed after 17s\n')
  })

  it('is one line that is written over on a terminal', async () => {
    const { clock, said, begin } = streamed(true)
    const task = begin()
    await clock.advance(4000)
    task.step('kubelet')
    task.end('done')
    expect(said.length).toBeGreaterThan(4)
    for (const text of said) expect(text.startsWith('\r\u001B[2K')).toBe(true)
    expect(said.filter((text) => text.endsWith('\n'))).toEqual(['\r\u001B[2Kbuilding: done after 4s\n'])
  })

  it('follows work that is described anew each time', async () => {
    const clock = new FakeClock()
    const said: string[] = []
    const progress = createTerminalProgress({ write: (text) => said.push(text), isTTY: false }, clock)
    let done = 0
    const task = progress.follow('tests', (elapsedMs) => `${done} done after ${elapsedMs} ms`)
    await clock.advance(1500)
    done = 7
    await clock.advance(15_000)
    task.end('done')
    expect(said).toEqual([
      'tests: 0 done after 1500 ms\n',
      'tests: 7 done after 16500 ms\n',
      'tests: done after 16s\n',
    ])
  })
})
