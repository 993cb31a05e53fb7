import { beforeEach, expect, test } from 'vitest'
import { EarliestTimer } from '../../../../src/backends/cri/pod/earliest-timer.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

let clock: FakeClock
let calls: number[]
let timer: EarliestTimer

beforeEach(() => {
  clock = new FakeClock()
  calls = []
  timer = new EarliestTimer(clock, () => calls.push(clock.monotonicMs()))
})

test('the earliest counts, in whatever order they are asked for', async () => {
  timer.in(60_000)
  timer.in(100)
  timer.in(60_000)
  await clock.advance(120_000)
  expect(calls).toEqual([100])
})

test('a burst is answered once, and not put off by its end', async () => {
  timer.in(100)
  await clock.advance(60)
  timer.in(100)
  await clock.advance(1_000)
  expect(calls).toEqual([100])
})

test('it can be set again when it has called', async () => {
  timer.in(100)
  await clock.advance(100)
  timer.in(50)
  await clock.advance(1_000)
  expect(calls).toEqual([100, 150])
})

test('what was wanted can be forgotten, also for something later', async () => {
  timer.in(100)
  timer.clear()
  expect(clock.pending).toBe(0)
  timer.in(300)
  await clock.advance(1_000)
  expect(calls).toEqual([300])
})

test('a closed one never calls', async () => {
  timer.in(100)
  timer.close()
  timer.in(10)
  await clock.advance(1_000)
  expect(calls).toEqual([])
  expect(clock.pending).toBe(0)
})
