import { expect, it } from 'vitest'
import { expandVariables } from '../../src/lifecycle/expand-variables.ts'

const variables = new Map([
  ['A', 'a'],
  ['REF', '$(A)'],
  ['EMPTY', ''],
])

// The cases of upstream's own table, in short.
it.each([
  ['$(A)', 'a'],
  ['$(A)$(A)-$(EMPTY)', 'aa-'],
  ['$(REF)', '$(A)'],
  ['$(UNKNOWN)', '$(UNKNOWN)'],
  ['$$(A)', '$(A)'],
  ['$$$(A)', '$a'],
  ['$$$$(A)', '$$(A)'],
  ['$A ${A} $', '$A ${A} $'],
  ['$(A', '$(A'],
  ['$(', '$('],
  ['$()', '$()'],
  ['a$$', 'a$'],
])('%s becomes %s', (text, expected) => {
  expect(expandVariables(text, variables)).toBe(expected)
})
