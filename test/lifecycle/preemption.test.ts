import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { admit, type AdmissionInput } from '../../src/lifecycle/admission.ts'
import { evictionOf } from '../../src/lifecycle/eviction.ts'
import { heldBy, missing, shortfalls } from '../../src/lifecycle/node-room.ts'
import { preempt } from '../../src/lifecycle/preemption.ts'
import type { Pod, PodStatus } from '../../src/model/kubernetes.ts'
import { aContainer, aNode, aPod, capabilities } from '../support/builders.ts'

const critical = 2_000_000_000
type Amounts = Readonly<Record<string, string>>

function pod(name: string, requests: Amounts, more: Partial<Made> = {}): Pod {
  const { limits = {}, status = {}, ...spec } = more
  const containers = [aContainer({ resources: { requests, limits } })]
  return { ...aPod({ name, spec: { containers, ...spec } }), status }
}

interface Made {
  readonly limits: Amounts
  readonly priority: number
  readonly nodeSelector: Amounts
  readonly status: PodStatus
}

/** On a node of 8 cores with 100 Pods' room. */
function verdict(asks: Pod, others: readonly Pod[], input: Partial<AdmissionInput> = {}): unknown {
  const answer = admit({ pod: asks, node: aNode(), others, capabilities: capabilities(), ...input })
  if (answer.kind !== 'preempt') return answer
  return answer.victims.map(({ metadata }) => metadata?.name)
}

const guaranteed = (name: string, cpu: string): Pod => {
  const all = { cpu, memory: '64Mi' }
  return pod(name, all, { limits: all })
}

describe('a critical Pod that finds no room', () => {
  const asks = pod('asks', { cpu: '2' }, { priority: critical })

  it('is not turned away, as any other is', () => {
    const full = [pod('full', { cpu: '8' })]
    expect(verdict(pod('ordinary', { cpu: '2' }), full)).toMatchObject({ kind: 'refuse', reason: 'OutOfcpu' })
    expect(verdict(asks, full)).toEqual(['full'])
    expect(verdict(asks, [])).toEqual({ kind: 'admit' })
  })

  it('is told of any other reason first', () => {
    const elsewhere = pod('asks', { cpu: '2' }, { priority: critical, nodeSelector: { other: 'pool' } })
    expect(verdict(elsewhere, [pod('full', { cpu: '8' })])).toMatchObject({ reason: 'NodeAffinity' })
  })

  it('takes from the least guaranteed first, and of these the fewest and the nearest', () => {
    const others = [
      guaranteed('guaranteed', '2'),
      pod('burstable-1', { cpu: '1' }),
      pod('burstable-2', { cpu: '2' }),
      pod('burstable-3', { cpu: '3' }),
    ]
    expect(verdict(asks, others)).toEqual(['burstable-2'])
    const fixed = pod('fixed', { cpu: '6' }, { priority: critical })
    expect(verdict(asks, [guaranteed('guaranteed', '1'), pod('burstable', { cpu: '1' }), fixed])).toEqual([
      'burstable',
      'guaranteed',
    ])
  })

  it('takes a place from who asked for nothing', () => {
    const node = aNode({ allocatable: { pods: '2' } })
    const others = [guaranteed('guaranteed', '1'), pod('nothing', {})]
    expect(verdict(asks, others, { node })).toEqual(['nothing'])
  })

  it('takes nothing from who is as critical, and says so in kubelet’s words', () => {
    const equals = [pod('equal', { cpu: '7' }, { priority: critical }), pod('small', { cpu: '500m' })]
    expect(verdict(asks, equals)).toEqual({
      kind: 'refuse',
      reason: 'UnexpectedAdmissionError',
      message:
        'Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods ' +
        'to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: 1000), ]',
    })
    const higher = pod('asks', { cpu: '2' }, { priority: critical + 1000 })
    expect(verdict(higher, equals)).toEqual(['equal'])
  })

  it('waits for who is leaving already, and takes no one in their place', () => {
    const going = pod('going', { cpu: '4' }, { status: { reason: 'Preempting' } })
    expect(verdict(asks, [going, pod('stays', { cpu: '4' })])).toEqual([])
    const deleted = { ...going, status: {}, metadata: { ...going.metadata, deletionTimestamp: 'now' } }
    expect(verdict(asks, [deleted, pod('stays', { cpu: '4' })])).toEqual([])
  })

  it('is not made room for when it only wants to be larger', () => {
    const full = [pod('full', { cpu: '8' })]
    expect(verdict(asks, full, { isResize: true })).toMatchObject({ kind: 'refuse', reason: 'OutOfcpu' })
  })

  it('always fits when the victims have gone, of whom none could have stayed', () => {
    const request = fc.integer({ min: 0, max: 4000 }).map((millis) => `${millis}m`)
    const one = fc.record({ cpu: request, memory: fc.integer({ min: 0, max: 4 }).map((gibi) => `${gibi}Gi`) })
    const world = fc.record({ asks: one, others: fc.array(one, { maxLength: 12 }) })
    fc.assert(
      fc.property(world, (made) => {
        const others = made.others.map((amounts, index) => pod(`other-${index}`, amounts))
        const wants = pod('asks', made.asks, { priority: critical })
        const node = aNode({ allocatable: { cpu: '8', memory: '8Gi', pods: '8' } })
        const short = shortfalls(wants, node, others)
        const answer = preempt(wants, others, short)
        if (answer.kind === 'impossible') {
          const all = short.filter(
            (lack) => others.reduce((sum, other) => sum + heldBy(other, lack), 0n) < missing(lack),
          )
          expect(all).not.toEqual([])
          return
        }
        const stay = others.filter((other) => !answer.victims.includes(other))
        expect(shortfalls(wants, node, stay)).toEqual([])
        if (short.length === 0) expect(answer.victims).toEqual([])
      }),
    )
  })
})

describe('the mark of an eviction', () => {
  it('is one that this node wrote, for either cause', () => {
    expect(evictionOf({ reason: 'Preempting', message: 'm' })).toEqual({ reason: 'Preempting', message: 'm' })
    expect(evictionOf({ reason: 'NodeLost' })).toBeUndefined()
  })
})
