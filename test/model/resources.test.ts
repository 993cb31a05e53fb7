import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type {
  Container,
  ContainerStatus,
  Pod,
  PodSpec,
  ResourceRequirements,
} from '../../src/model/kubernetes.ts'
import {
  add,
  boundPodRequests,
  maximum,
  noResources,
  parseResources,
  podLimits,
  podRequests,
  shortages,
  subtract,
  type Resources,
} from '../../src/model/resources.ts'

function container(name: string, resources: ResourceRequirements, sidecar = false): Container {
  return { name, resources, ...(sidecar && { restartPolicy: 'Always' }) }
}

function cpu(request: string, sidecar = false): Container {
  return container(`c${request}`, { requests: { cpu: request } }, sidecar)
}

function podOf(spec: Partial<PodSpec>, status: Pod['status'] = {}): Pod {
  return { spec: { containers: [], ...spec }, status }
}

function millis(spec: Partial<PodSpec>): bigint {
  return podRequests(podOf(spec)).cpuMillis
}

describe('podRequests', () => {
  it('adds up the containers', () => {
    expect(millis({ containers: [cpu('100m'), cpu('0.2')] })).toBe(300n)
  })

  it('takes the largest init container when that is more', () => {
    expect(millis({ containers: [cpu('100m')], initContainers: [cpu('500m'), cpu('400m')] })).toBe(500n)
    expect(millis({ containers: [cpu('600m')], initContainers: [cpu('500m'), cpu('400m')] })).toBe(600n)
  })

  it('counts a sidecar beside the containers and beside the init containers after it, not those before', () => {
    const containers = [cpu('100m')]
    expect(millis({ containers, initContainers: [cpu('50m', true), cpu('500m')] })).toBe(550n)
    expect(millis({ containers, initContainers: [cpu('500m'), cpu('50m', true)] })).toBe(500n)
    expect(millis({ containers, initContainers: [cpu('900m', true)] })).toBe(1000n)
  })

  it('reads a missing request as the limit', () => {
    const resources = { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '1' } }
    const requests = podRequests(podOf({ containers: [container('a', resources)] }))
    expect([requests.cpuMillis, requests.memoryBytes]).toEqual([1000n, 1n << 30n])
  })

  it('puts the overhead on top of all of it', () => {
    const overhead = { cpu: '250m', 'example.com/x': '1' }
    expect(podRequests(podOf({ containers: [cpu('100m')], overhead }))).toEqual({
      ...noResources,
      cpuMillis: 350n,
      extended: new Map([['example.com/x', 1n]]),
    })
  })

  it('lets what the Pod requests as a whole stand in for its containers, resource by resource', () => {
    const containers = [container('a', { requests: { cpu: '1', memory: '1Gi', 'hugepages-2Mi': '2Mi' } })]
    const resources = { requests: { cpu: '3', 'hugepages-2Mi': '4Mi' } }
    expect(podRequests(podOf({ containers, resources }))).toEqual({
      ...noResources,
      cpuMillis: 3000n,
      memoryBytes: 1n << 30n,
      extended: new Map([['hugepages-2Mi', 4n << 20n]]),
    })
  })

  it('takes the whole’s limit for its request only where no container requests anything', () => {
    const resources = { limits: { cpu: '4' } }
    expect(millis({ containers: [cpu('1')], resources })).toBe(1000n)
    expect(millis({ containers: [{ name: 'a' }], resources })).toBe(4000n)
  })

  it('counts extended resources and local disk', () => {
    const resources = { requests: { 'nvidia.com/gpu': '2', 'ephemeral-storage': '1Gi' } }
    const requests = podRequests(
      podOf({ containers: [container('a', resources), container('b', resources)] }),
    )
    expect(requests.extended.get('nvidia.com/gpu')).toBe(4n)
    expect(requests.ephemeralStorageBytes).toBe(2n << 30n)
  })

  it('is nothing for a Pod that asks for nothing', () => {
    expect(podRequests({})).toEqual(noResources)
  })
})

describe('boundPodRequests', () => {
  const asks = { containers: [container('a', { requests: { cpu: '500m' } })] }
  const statusOf = (allocated: string, inEffect: string): ContainerStatus => ({
    name: 'a',
    image: '',
    imageID: '',
    ready: true,
    restartCount: 0,
    allocatedResources: { cpu: allocated },
    resources: { requests: { cpu: inEffect } },
  })

  it('is what the Pod asks for as long as no node has said anything', () => {
    expect(boundPodRequests(podOf(asks))).toEqual(podRequests(podOf(asks)))
  })

  it.each([
    ['500m', '500m', 500n],
    ['800m', '500m', 800n],
    ['500m', '900m', 900n],
    ['300m', '200m', 500n],
  ])(
    'with %s allocated and %s in effect, 500m asked for, is the largest: %s',
    (allocated, inEffect, most) => {
      const pod = podOf(asks, { containerStatuses: [statusOf(allocated, inEffect)] })
      expect(boundPodRequests(pod).cpuMillis).toBe(most)
    },
  )

  it('leaves out a wish that the node called infeasible', () => {
    const conditions = [{ type: 'PodResizePending', status: 'True', reason: 'Infeasible' }]
    const pod = podOf(asks, { conditions, containerStatuses: [statusOf('300m', '200m')] })
    expect(boundPodRequests(pod).cpuMillis).toBe(300n)
  })
})

describe('podLimits', () => {
  it('adds up limits and counts a missing one as 0', () => {
    const containers = [
      container('a', { limits: { cpu: '1' } }),
      container('b', { limits: { cpu: '2', memory: '1Gi' } }),
    ]
    const limits = podLimits(podOf({ containers }))
    expect([limits.cpuMillis, limits.memoryBytes]).toEqual([3000n, 1n << 30n])
  })

  it('is not changed by what the Pod as a whole only requests', () => {
    const containers = [container('a', { limits: { cpu: '2' } })]
    expect(podLimits(podOf({ containers, resources: { requests: { cpu: '1' } } })).cpuMillis).toBe(2000n)
  })

  it('adds overhead to a limit and not to none', () => {
    const containers = [container('a', { limits: { cpu: '1' } })]
    const limits = podLimits(podOf({ containers, overhead: { cpu: '100m', memory: '64Mi' } }))
    expect([limits.cpuMillis, limits.memoryBytes]).toEqual([1100n, 0n])
  })
})

const amount = fc.bigInt({ min: 0n, max: 10n ** 15n })
const anyResources: fc.Arbitrary<Resources> = fc.record({
  cpuMillis: amount,
  memoryBytes: amount,
  ephemeralStorageBytes: amount,
  extended: fc
    .array(fc.tuple(fc.constantFrom('a.b/x', 'a.b/y', 'hugepages-2Mi'), amount))
    .map((pairs) => new Map(pairs)),
})

function named({
  cpuMillis,
  memoryBytes,
  ephemeralStorageBytes,
  extended,
}: Resources): ReadonlyMap<string, bigint> {
  const basics = [
    ['cpu', cpuMillis],
    ['memory', memoryBytes],
    ['ephemeral-storage', ephemeralStorageBytes],
  ] as const
  return new Map([...basics, ...extended])
}

describe('arithmetic', () => {
  it('takes away what it added', () => {
    fc.assert(
      fc.property(anyResources, anyResources, (a, b) => {
        const back = named(subtract(add(a, b), b))
        for (const [name, value] of back) expect(value).toBe(named(a).get(name) ?? 0n)
      }),
    )
  })

  it('finds short exactly the resources of which more is wanted than is free', () => {
    fc.assert(
      fc.property(anyResources, anyResources, (wanted, free) => {
        const expected = [...named(wanted)].filter(([name, value]) => value > (named(free).get(name) ?? 0n))
        expect(new Set(shortages(wanted, free))).toEqual(new Set(expected.map(([name]) => name)))
      }),
    )
  })

  it('never lacks what nobody wants, however overdrawn the node is', () => {
    fc.assert(
      fc.property(anyResources, (taken) => {
        expect(shortages(noResources, subtract(noResources, taken))).toEqual([])
      }),
    )
  })

  it('fits into the maximum of itself and anything', () => {
    fc.assert(
      fc.property(anyResources, anyResources, (a, b) => {
        expect(shortages(a, maximum(a, b))).toEqual([])
      }),
    )
  })

  it('never asks for less than each of its init containers and than all of its containers', () => {
    const containers = fc.array(fc.nat(5000), { maxLength: 5 })
    const inits = fc.array(fc.tuple(fc.nat(5000), fc.boolean()), { maxLength: 5 })
    fc.assert(
      fc.property(containers, inits, (mains, initial) => {
        const sidecars = initial.filter(([, sidecar]) => sidecar)
        const total = millis({
          containers: mains.map((value) => cpu(`${value}m`)),
          initContainers: initial.map(([value, sidecar]) => cpu(`${value}m`, sidecar)),
        })
        const together = [...mains, ...sidecars.map(([value]) => value)].reduce(
          (sum, value) => sum + value,
          0,
        )
        // The peak of each init container, from its definition rather than by the running sums of the code.
        const peaks = initial.map(([value], at) => {
          const beside = initial.slice(0, at).filter(([, other]) => other)
          return beside.reduce((sum, [other]) => sum + other, value)
        })
        expect(total).toBe(BigInt(Math.max(together, ...peaks)))
      }),
    )
  })
})

describe('parseResources', () => {
  it('keeps pods apart and everything else by name', () => {
    const list = { cpu: '2', memory: '1Gi', pods: '110', 'ephemeral-storage': '5Gi', 'nvidia.com/gpu': '1' }
    expect(parseResources(list)).toEqual({
      cpuMillis: 2000n,
      memoryBytes: 1n << 30n,
      ephemeralStorageBytes: 5n << 30n,
      extended: new Map([['nvidia.com/gpu', 1n]]),
    })
  })
})
