import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shortageMessage, whoGoesFirst, type MeasuredPod } from '../../src/lifecycle/who-goes-first.ts'
import type { PodSpec } from '../../src/model/kubernetes.ts'
import type { ContainerUsage, PodUsage } from '../../src/model/pod-usage.ts'
import type { ShortResource } from '../../src/model/shortage.ts'
import { aContainer, aPod, uidOf } from '../support/builders.ts'

const mebi = 1n << 20n
const disk = { resource: 'ephemeral-storage', least: 100n * mebi, available: 7n * mebi } as const
const memory = { resource: 'memory', least: 100n * mebi, available: 60n * mebi } as const

interface Made {
  readonly memoryMi?: number
  readonly diskMi?: number
  readonly inodes?: number
  readonly processes?: number
  readonly requests?: Readonly<Record<string, string>>
  readonly spec?: Partial<PodSpec>
}

function using(
  name: string,
  { memoryMi, diskMi, inodes, processes, requests = {}, spec }: Made,
): MeasuredPod {
  const pod = aPod({ name, spec: { containers: [aContainer({ resources: { requests } })], ...spec } })
  const usedMemory = memoryMi === undefined ? {} : { workingSetBytes: BigInt(memoryMi) * mebi }
  const main: ContainerUsage = {
    name: 'main',
    startedAtMs: 0,
    memory: { atMs: 0, ...usedMemory },
    root: { atMs: 0, usedBytes: BigInt(diskMi ?? 0) * mebi, usedInodes: BigInt(inodes ?? 0) },
  }
  const usage: PodUsage = {
    uid: uidOf(pod),
    namespace: 'default',
    name,
    nodeName: 'burst-0',
    startedAtMs: 0,
    containers: [main],
    memory: { atMs: 0, ...usedMemory },
    ...(processes !== undefined && { processes: BigInt(processes) }),
  }
  return { pod, usage }
}

function first(resource: ShortResource, ...pods: readonly MeasuredPod[]): string | undefined {
  return whoGoesFirst(pods, { resource })?.pod.metadata?.name
}

describe('who goes first', () => {
  it('is who uses more than it asked for, however little it is', () => {
    const modest = using('modest', { memoryMi: 900, requests: { memory: '1Gi' } })
    const over = using('over', { memoryMi: 11, requests: { memory: '10Mi' }, spec: { priority: 7 } })
    expect(first('memory', modest, over)).toBe('over')
    expect(first('memory', over, modest)).toBe('over')
  })

  it('is the lower priority among those, then who is further over', () => {
    const low = using('low', { diskMi: 1, spec: { priority: 1 } })
    const high = using('high', { diskMi: 90, spec: { priority: 2 } })
    expect(first('ephemeral-storage', high, low)).toBe('low')
    const far = using('far', { diskMi: 30, requests: { 'ephemeral-storage': '5Mi' } })
    const near = using('near', { diskMi: 80, requests: { 'ephemeral-storage': '70Mi' } })
    expect(first('ephemeral-storage', near, far)).toBe('far')
  })

  it('is who has the most inodes or processes where nobody can ask for any', () => {
    const files = using('files', { inodes: 900, processes: 1 })
    const tasks = using('tasks', { inodes: 9, processes: 500 })
    expect(first('inodes', tasks, files)).toBe('files')
    expect(first('pids', files, tasks)).toBe('tasks')
  })

  it('is never a Pod that is critical to the system, and one that was not measured only when no other is left', () => {
    const critical = using('critical', { diskMi: 900, spec: { priority: 2_000_000_000 } })
    const unseen: MeasuredPod = { pod: aPod({ name: 'unseen' }), usage: undefined }
    const small = using('small', { diskMi: 1, spec: { priority: 1_000_000_000 } })
    expect(first('ephemeral-storage', critical)).toBeUndefined()
    expect(first('ephemeral-storage', critical, unseen)).toBe('unseen')
    expect(first('ephemeral-storage', critical, unseen, small)).toBe('small')
  })

  it('does not depend on the order in which the Pods are given', () => {
    const made = fc.record({
      memoryMi: fc.nat(50),
      spec: fc.record({ priority: fc.integer({ min: 0, max: 3 }) }),
      requests: fc.constantFrom<Record<string, string>>({}, { memory: '20Mi' }, { memory: '40Mi' }),
    })
    const uneven = fc.uniqueArray(made, { minLength: 2, maxLength: 6, selector: ({ memoryMi }) => memoryMi })
    fc.assert(
      fc.property(uneven, (parts) => {
        const pods = parts.map((part, index) => using(`pod-${index}`, part))
        const chosen = whoGoesFirst(pods, memory)
        const excess = ({ pod, usage }: MeasuredPod): bigint => {
          const asked = pod.spec?.containers[0]?.resources?.requests?.['memory'] ?? '0Mi'
          return (usage?.memory?.workingSetBytes ?? 0n) - BigInt(asked.replace('Mi', '')) * mebi
        }
        const anyOver = pods.some((pod) => excess(pod) > 0n)
        expect(chosen && excess(chosen) > 0n).toBe(anyOver)
        const equals = whoGoesFirst(pods.toReversed(), memory)
        expect(equals && excess(equals)).toBe(chosen && excess(chosen))
        expect(equals?.pod.spec?.priority).toBe(chosen?.pod.spec?.priority)
      }),
    )
  })
})

describe('why it had to go', () => {
  it('is said in kubelet’s words, with each container that used more than it asked for', () => {
    const web = using('web', { diskMi: 300, requests: { 'ephemeral-storage': '200Mi' } })
    expect(shortageMessage(web, disk)).toBe(
      'The node was low on resource: ephemeral-storage. Threshold quantity: 100Mi, available: 7Mi. Container main was using 300Mi, request is 200Mi, has larger consumption of ephemeral-storage. ',
    )
  })

  it('names no container that kept to what it asked for, and none that nobody measured', () => {
    const low = 'The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. '
    expect(shortageMessage(using('web', { memoryMi: 3, requests: { memory: '4Mi' } }), memory)).toBe(low)
    expect(shortageMessage({ pod: aPod(), usage: undefined }, memory)).toBe(low)
  })

  it('names the Pod too where it has a size of its own', () => {
    const spec = { resources: { requests: { memory: '2Mi' } } }
    expect(shortageMessage(using('web', { memoryMi: 3, spec }), memory)).toContain(
      'Pod web was using 3Mi, request is 2Mi, has larger consumption of memory. ',
    )
  })

  it('counts inodes and process ids by thousands', () => {
    const short = { resource: 'inodes', least: 5000n, available: 4321n } as const
    expect(shortageMessage(using('web', { inodes: 9 }), short)).toBe(
      'The node was low on resource: inodes. Threshold quantity: 5k, available: 4321. ',
    )
  })
})
