import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Rounds } from '../../../../src/backends/cri/pod/rounds.ts'
import { FakeClock, settled } from '../../../support/fake-clock.ts'

const closing = new Error('closing')
let clock: FakeClock
let rounds: Rounds
/** When each round began. */
let begun: number[]
let underWay: number
let most: number
/** What a round does, and waits for. */
let task: (signal: AbortSignal) => Promise<void> | void

beforeEach(() => {
  clock = new FakeClock()
  begun = []
  underWay = 0
  most = 0
  task = () => undefined
  rounds = new Rounds(clock, async (signal) => {
    begun.push(clock.monotonicMs())
    most = Math.max(most, ++underWay)
    await task(signal)
    underWay--
  })
})

afterEach(async () => {
  await rounds.close(closing)
})

/** Rounds from now on wait until they are let go on. */
function held(): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  task = () => promise
  return resolve
}

async function nudgeAfter(steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) await Promise.resolve()
  rounds.nudge()
}

describe('a round', () => {
  it('is run for a change', async () => {
    rounds.nudge()
    await settled()
    expect(begun).toHaveLength(1)
  })

  it('is followed by one more for all changes that came while it went on, and never accompanied', async () => {
    const goOn = held()
    rounds.nudge()
    await settled()
    rounds.nudge()
    rounds.nudge()
    rounds.nudge()
    await settled()
    expect(begun).toHaveLength(1)
    goOn()
    await settled()
    expect(begun).toHaveLength(2)
    expect(most).toBe(1)
  })

  it('is followed by another when something changes at its end, however close', async () => {
    for (let steps = 0; steps < 8; steps++) {
      begun = []
      task = () => void (begun.length === 1 && nudgeAfter(steps))
      rounds.nudge()
      await settled()
      expect(begun, `${steps} steps after its last`).toHaveLength(2)
    }
  })
})

describe('the next round', () => {
  it('comes when it was said to, and once', async () => {
    rounds.wakeIn(1000)
    await clock.advance(999)
    expect(begun).toEqual([])
    await clock.advance(10_000)
    expect(begun).toEqual([1000])
  })

  it('comes at once for a time that has passed', async () => {
    rounds.wakeIn(-5)
    await clock.advance(0)
    expect(begun).toEqual([0])
  })

  it('comes at the earliest time that was said, whoever said it last', async () => {
    task = () => {
      if (begun.length > 1) return
      // A container that is tried again soon, and one whose image is backed off.
      rounds.wakeIn(250)
      rounds.wakeIn(300_000)
    }
    rounds.nudge()
    await clock.advance(60_000)
    expect(begun).toEqual([0, 250])
  })

  it('is the change’s when that comes first: what it finds decides when to come again', async () => {
    rounds.wakeIn(1000)
    await clock.advance(400)
    rounds.nudge()
    await clock.advance(60_000)
    expect(begun).toEqual([400])
    expect(clock.pending).toBe(0)
  })
})

describe('the end', () => {
  it('is awaited: the round that is under way hears of it, and is the last', async () => {
    const goOn = held()
    rounds.nudge()
    await settled()
    rounds.nudge()
    let isOver = false
    const over = rounds.close(closing).then(() => (isOver = true))
    expect(rounds.signal.reason).toBe(closing)
    await settled()
    expect(isOver).toBe(false)
    goOn()
    await over
    rounds.nudge()
    await settled()
    expect(begun).toHaveLength(1)
  })

  it('leaves no timer behind, not even one that the last round sets', async () => {
    const { promise: goOn, resolve } = Promise.withResolvers<void>()
    task = async () => {
      rounds.wakeIn(1000)
      await goOn
      rounds.wakeIn(500)
    }
    rounds.nudge()
    await settled()
    const over = rounds.close(closing)
    resolve()
    await over
    expect(clock.pending).toBe(0)
    await clock.advance(60_000)
    expect(begun).toHaveLength(1)
  })
})
