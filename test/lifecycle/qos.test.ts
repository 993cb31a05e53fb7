import { expect, it } from 'vitest'
import { qosClass } from '../../src/lifecycle/qos.ts'
import { aContainer, aPod } from '../support/builders.ts'

const both = { cpu: '1', memory: '1Gi' }
const guaranteed = aContainer({ resources: { requests: both, limits: { cpu: '1000m', memory: '1Gi' } } })

it.each([
  ['BestEffort', { containers: [aContainer()] }],
  ['Guaranteed', { containers: [guaranteed] }],
  ['Burstable', { containers: [guaranteed, aContainer({ name: 'other' })] }],
  ['Burstable', { containers: [aContainer({ resources: { limits: { cpu: '1' } } })] }],
  ['Guaranteed', { containers: [aContainer()], resources: { requests: both, limits: both } }],
])('is %s for %j', (expected, spec) => {
  expect(qosClass(aPod({ spec }))).toBe(expected)
})

it('does not change once the API server has said it', () => {
  expect(qosClass(aPod({ spec: { containers: [guaranteed] }, status: { qosClass: 'Burstable' } }))).toBe(
    'Burstable',
  )
})
