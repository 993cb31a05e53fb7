import { beforeEach, expect, it } from 'vitest'
import { ClockSteps } from '../../src/app/clock-steps.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'

const hourMs = 3_600_000
let clock: FakeClock
let lines: string[]
let told: number[]
let steps: ClockSteps
let over: AbortController

beforeEach(async () => {
  clock = new FakeClock()
  lines = []
  told = []
  over = new AbortController()
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } })
  steps = new ClockSteps({ clock, log })
  steps.subscribe((byMs) => told.push(byMs))
  void steps.run(over.signal)
  await settled()
})

it('tells that the wall clock was set, back or ahead, within five seconds and once', async () => {
  clock.stepWall(-hourMs)
  await clock.advance(5_000)
  expect(told).toEqual([-hourMs])
  await clock.advance(60_000)
  clock.stepWall(hourMs + 500)
  await clock.advance(60_000)
  expect([told, steps.count]).toEqual([[-hourMs, hourMs + 500], 2])
  expect(lines).toEqual([
    expect.stringContaining('"byMs":-3600000'),
    expect.stringContaining('the wall clock was set'),
  ])
})

it('says nothing of what NTP corrects in small steps, however far that goes', async () => {
  for (let step = 0; step < 20; step += 1) {
    clock.stepWall(-400)
    await clock.advance(5_000)
  }
  expect([told, steps.count]).toEqual([[], 0])
})

it('ends with the signal', async () => {
  over.abort()
  await settled()
  expect(clock.pending).toBe(0)
})
