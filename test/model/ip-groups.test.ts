import { expect, it } from 'vitest'
import { ip6Groups } from '../../src/model/ip-groups.ts'

it.each([
  ['::', '0 0 0 0 0 0 0 0'],
  ['::1', '0 0 0 0 0 0 0 1'],
  ['fe80::', 'fe80 0 0 0 0 0 0 0'],
  ['2001:db8::5:6', '2001 db8 0 0 0 0 5 6'],
  ['1:2:3:4:5:6:7:8', '1 2 3 4 5 6 7 8'],
])('%s has eight groups', (address, groups) => {
  expect(ip6Groups(address).join(' ')).toBe(groups)
})
