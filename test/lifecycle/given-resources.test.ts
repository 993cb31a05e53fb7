import { describe, expect, it } from 'vitest'
import { givenResources } from '../../src/lifecycle/given-resources.ts'
import { aContainer, aPod } from '../support/builders.ts'

describe('what a container is given', () => {
  it('is the limit of the whole Pod where it states none itself', () => {
    const pod = aPod({ spec: { resources: { limits: { cpu: '2', memory: '2Gi' } } } })
    const own = aContainer({ resources: { requests: { cpu: '1' }, limits: { cpu: '1' } } })
    expect(givenResources(pod, own)).toEqual({ requests: { cpu: '1' }, limits: { cpu: '1', memory: '2Gi' } })
    expect(givenResources(pod, aContainer())).toEqual({ limits: { cpu: '2', memory: '2Gi' } })
  })
})
