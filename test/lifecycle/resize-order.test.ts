import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byResizeOrder, type WaitingResize } from '../../src/lifecycle/resize-order.ts'
import { aContainer, aPod } from '../support/builders.ts'

interface Waits {
  readonly name: string
  readonly from?: string
  readonly to?: string
  readonly priority?: number
  readonly guaranteed?: boolean
  readonly sinceMs?: number
}

function waiting({
  name,
  from = '1',
  to = '2',
  priority,
  guaranteed = false,
  sinceMs,
}: Waits): WaitingResize {
  const sized = (cpu: string) =>
    aPod({
      name,
      spec: {
        containers: [aContainer({ resources: { requests: { cpu } } })],
        ...(priority !== undefined && { priority }),
      },
      status: { qosClass: guaranteed ? 'Guaranteed' : 'Burstable' },
    })
  return { pod: sized(to), allocated: sized(from), sinceMs }
}

const namesOf = (resizes: readonly WaitingResize[]) => resizes.map(({ pod }) => pod.metadata?.name)

describe('who is looked at first', () => {
  it('is who gives back, then priority, then the guaranteed, then who waits longest', () => {
    const resizes = [
      waiting({ name: 'unseen' }),
      waiting({ name: 'late', sinceMs: 200 }),
      waiting({ name: 'early', sinceMs: 100 }),
      waiting({ name: 'guaranteed', guaranteed: true, sinceMs: 300 }),
      waiting({ name: 'important', priority: 1000, sinceMs: 400 }),
      waiting({ name: 'shrinking', from: '2', to: '1', sinceMs: 500 }),
    ]
    const expected = ['shrinking', 'important', 'guaranteed', 'early', 'late', 'unseen']
    expect(namesOf(resizes.toSorted(byResizeOrder))).toEqual(expected)
  })

  it('does not hang on the order in which they came', () => {
    const any = fc.record({
      name: fc.uuid(),
      to: fc.constantFrom('500m', '2'),
      priority: fc.integer({ min: 0, max: 2 }),
      guaranteed: fc.boolean(),
      sinceMs: fc.nat(),
    })
    fc.assert(
      fc.property(fc.uniqueArray(any, { selector: ({ sinceMs }) => sinceMs }), (resizes) => {
        const sorted = resizes.map(waiting).sort(byResizeOrder)
        expect(namesOf(resizes.toReversed().map(waiting).sort(byResizeOrder))).toEqual(namesOf(sorted))
      }),
    )
  })
})
