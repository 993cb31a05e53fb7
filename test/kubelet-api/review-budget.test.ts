import { beforeEach, describe, expect, it } from 'vitest'
import { ReviewBudget } from '../../src/kubelet-api/review-budget.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'

const limits = { burst: 3, perSecond: 1, mostUnderWay: 4, mostPeers: 2 }
const nobody = async (): Promise<undefined> => undefined

let clock: FakeClock
let budget: ReviewBudget

beforeEach(() => {
  clock = new FakeClock()
  budget = new ReviewBudget({ clock, limits })
})

describe('unknown tokens', () => {
  it('of a peer are asked about a few times, then as time passes', async () => {
    for (let index = 0; index < 3; index += 1) await budget.ask('a', nobody)
    expect(() => budget.ask('a', nobody)).toThrow('too many reviews of unknown tokens from a')
    await budget.ask('b', nobody)
    await clock.advance(1000)
    await budget.ask('a', nobody)
    expect(() => budget.ask('a', nobody)).toThrow('too many reviews')
  })

  it('are asked about so many at a time, of whomever', async () => {
    const answers: (() => void)[] = []
    const open = (peer: string) =>
      budget.ask(peer, () => new Promise<undefined>((resolve) => answers.push(() => resolve(undefined))))
    const waiting = ['a', 'a', 'b', 'b'].map(open)
    expect(() => open('a')).toThrow('too many reviews of tokens under way')
    for (const answer of answers.splice(0)) answer()
    await Promise.all(waiting)
    await settled()
    void open('a')
    expect(answers).toHaveLength(1)
  })

  it('cost a place under way no longer than the question, also when it fails', async () => {
    const failing = (): Promise<undefined> => Promise.reject(new Error('down'))
    for (const peer of ['a', 'b', 'a', 'b', 'a'])
      await expect(budget.ask(peer, failing)).rejects.toThrow('down')
    await budget.ask('b', nobody)
  })
})

it('tokens that somebody is known by are not counted', async () => {
  for (let index = 0; index < 10; index += 1) await budget.ask('a', async () => 'alice')
})
