import { expect, test } from 'vitest'
import { labelsMatch } from '../../src/lifecycle/label-selector.ts'

const labels = { app: 'web', tier: 'front' }

test('no selector matches nothing, an empty one everything', () => {
  expect(labelsMatch(undefined, labels)).toBe(false)
  expect(labelsMatch({}, labels)).toBe(true)
  expect(labelsMatch({}, undefined)).toBe(true)
})

test('every label and every expression of a selector has to match', () => {
  const inFront = { key: 'tier', operator: 'In', values: ['front', 'back'] }
  expect(labelsMatch({ matchLabels: { app: 'web' }, matchExpressions: [inFront] }, labels)).toBe(true)
  expect(labelsMatch({ matchLabels: { app: 'api' }, matchExpressions: [inFront] }, labels)).toBe(false)
  const untiered = { key: 'tier', operator: 'DoesNotExist' }
  expect(labelsMatch({ matchLabels: { app: 'web' }, matchExpressions: [untiered] }, labels)).toBe(false)
})
