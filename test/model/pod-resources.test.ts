import { describe, expect, it } from 'vitest'
import { resourcesOf, sameRequirements, sameResources, withResources } from '../../src/model/pod-resources.ts'
import { aContainer, aPod } from '../support/builders.ts'

const half = { requests: { cpu: '500m' } }
const one = { requests: { cpu: '1' } }
const pod = aPod({
  spec: {
    initContainers: [aContainer({ name: 'first', resources: one })],
    containers: [aContainer({ resources: half }), aContainer({ name: 'free' })],
  },
})

describe('what can change of a running Pod', () => {
  it('is what its containers ask for, init containers among them, and the Pod as a whole', () => {
    expect(resourcesOf(pod)).toEqual({ containers: { first: one, main: half, free: {} } })
    expect(resourcesOf(aPod({ spec: { resources: one } }))).toEqual({ containers: { main: {} }, pod: one })
  })

  it('can be put in place of what the spec says, and only that', () => {
    const other = { containers: { first: half, main: one, free: {} }, pod: one }
    const sized = withResources(pod, other)
    expect(resourcesOf(sized)).toEqual(other)
    expect({ ...sized, spec: { ...sized.spec, containers: [], initContainers: [], resources: {} } }).toEqual({
      ...pod,
      spec: { ...pod.spec, containers: [], initContainers: [], resources: {} },
    })
    expect(resourcesOf(withResources(sized, resourcesOf(pod)))).toEqual(resourcesOf(pod))
  })

  it('leaves a Pod alone that says the same in other words', () => {
    const same = { containers: { first: { requests: { cpu: '1000m' }, limits: {} }, main: half } }
    expect(withResources(pod, same)).toBe(pod)
  })
})

describe('two amounts are the same', () => {
  it.each([
    [{ requests: { cpu: '0.5' } }, { requests: { cpu: '500m' } }, true],
    [{ limits: { memory: '1Gi' } }, { limits: { memory: '1024Mi' } }, true],
    [{}, { requests: {}, limits: {}, claims: [] }, true],
    [undefined, {}, true],
    [{ requests: { cpu: '100u' } }, { requests: { cpu: '1m' } }, false],
    [{ requests: { cpu: '0' } }, {}, false],
    [{ requests: { cpu: '1' } }, { limits: { cpu: '1' } }, false],
  ])('%j and %j: %s', (a, b, same) => {
    expect(sameRequirements(a, b)).toBe(same)
    expect(sameRequirements(b, a)).toBe(same)
  })

  it('container by container', () => {
    expect(sameResources({ containers: { a: half } }, { containers: { a: half, b: {} } })).toBe(true)
    expect(sameResources({ containers: { a: half } }, { containers: { b: half } })).toBe(false)
    expect(sameResources({ containers: {}, pod: half }, { containers: {} })).toBe(false)
  })
})
