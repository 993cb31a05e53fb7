import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { givenResources } from '../../src/lifecycle/given-resources.ts'
import { resizeActions } from '../../src/lifecycle/resize-actions.ts'
import type { Container, ResourceRequirements } from '../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../support/builders.ts'

const amounts = (cpu: string, memory: string): ResourceRequirements => ({
  requests: { cpu, memory },
  limits: { cpu, memory },
})
const restarting = (resourceName: string) => [{ resourceName, restartPolicy: 'RestartContainer' }]

function actionsFor(containers: readonly Container[], given: Readonly<Record<string, ResourceRequirements>>) {
  const pod = aPod({ spec: { containers: [...containers] } })
  return resizeActions({ pod, given: new Map(Object.entries(given)) })
}

const order = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name)

describe('what a resize does to running containers', () => {
  it('is nothing when each has what was set aside for it', () => {
    const container = aContainer({ resources: amounts('1', '1Gi') })
    const actions = actionsFor([container], { main: amounts('1000m', '1024Mi') })
    expect(actions).toEqual({ restart: [], memory: [], cpu: [] })
  })

  it('is an update of what changes, with the sizes before and after', () => {
    const { restart, memory, cpu } = actionsFor([aContainer({ resources: amounts('2', '1Gi') })], {
      main: amounts('1', '1Gi'),
    })
    expect({ restart, memory }).toEqual({ restart: [], memory: [] })
    expect(cpu).toMatchObject([
      { name: 'main', from: { cpuLimitMillis: 1000n }, to: { cpuLimitMillis: 2000n } },
    ])
  })

  it('takes from those that shrink before it gives to those that grow', () => {
    const containers = ['a', 'b', 'c', 'd'].map((name, index) =>
      aContainer({ name, resources: amounts(['4', '1', '4', '1'][index]!, '1Gi') }),
    )
    const given = Object.fromEntries(containers.map(({ name }) => [name, amounts('2', '1Gi')]))
    expect(order(actionsFor(containers, given).cpu)).toEqual(['d', 'b', 'a', 'c'])
  })

  it('goes by the limit, and by the request where the limit stays', () => {
    const sized = (name: string, request: string, limit: string) =>
      aContainer({ name, resources: { requests: { memory: request }, limits: { memory: limit } } })
    const { memory } = actionsFor([sized('up', '1', '9'), sized('down', '2', '5')], {
      up: { requests: { memory: '2' }, limits: { memory: '5' } },
      down: { requests: { memory: '3' }, limits: { memory: '5' } },
    })
    expect(order(memory)).toEqual(['down', 'up'])
  })

  it('is a restart where the policy of what changes wants one', () => {
    const resources = amounts('2', '1Gi')
    const containers = [
      aContainer({ name: 'cpu', resources, resizePolicy: restarting('cpu') }),
      aContainer({ name: 'memory', resources, resizePolicy: restarting('memory') }),
    ]
    const given = { cpu: amounts('1', '1Gi'), memory: amounts('1', '1Gi') }
    const { restart, cpu } = actionsFor(containers, given)
    expect(restart).toEqual(['cpu'])
    expect(order(cpu)).toEqual(['memory'])
  })

  it('leaves out what does not run: it is made at its size', () => {
    expect(actionsFor([aContainer({ resources: amounts('2', '1Gi') })], {})).toEqual({
      restart: [],
      memory: [],
      cpu: [],
    })
  })

  it('is over once it has been carried out, whatever the sizes', () => {
    const any = fc.record({ cpu: fc.constantFrom('1', '2', '3'), memory: fc.constantFrom('1Gi', '2Gi') })
    fc.assert(
      fc.property(fc.array(fc.tuple(any, any), { maxLength: 5 }), (sizes) => {
        const containers = sizes.map(([, to], index) =>
          aContainer({ name: `c${index}`, resources: amounts(to.cpu, to.memory) }),
        )
        const before = Object.fromEntries(
          sizes.map(([from], index) => [`c${index}`, amounts(from.cpu, from.memory)]),
        )
        const { cpu, memory } = actionsFor(containers, before)
        const touched = new Set(order([...cpu, ...memory]))
        for (const [index, [from, to]] of sizes.entries()) {
          expect(touched.has(`c${index}`)).toBe(from.cpu !== to.cpu || from.memory !== to.memory)
        }
        const pod = aPod({ spec: { containers } })
        const given = new Map(containers.map((one) => [one.name, givenResources(pod, one)]))
        expect(resizeActions({ pod, given })).toEqual({ restart: [], memory: [], cpu: [] })
      }),
    )
  })
})
