import { describe, expect, it } from 'vitest'
import { clashes } from '../../src/dev-cluster/network-link.ts'

describe('a route of the machine', () => {
  it.each([
    ['10.200.3.0/24', 'the same network'],
    ['10.200.3.7', 'one address of it'],
    ['10.200.0.0/16', 'a network of the machine’s own around it'],
    ['10.200.2.0/23', 'a network that has it as its second half'],
    ['10.200.3.128/25', 'a half of it'],
  ])('%s clashes with number 3: %s', (destination) => {
    expect(clashes(destination, 3)).toBe(true)
  })

  it.each([
    ['default', 'names no network'],
    ['10.0.0.0/8', 'is less specific, so ours wins'],
    ['10.200.4.0/24', 'is the next one'],
    ['10.200.0.0/23', 'ends before it'],
    ['10.201.3.0/24', 'is elsewhere'],
    ['192.168.3.0/24', 'is elsewhere'],
  ])('%s does not: it %s', (destination) => {
    expect(clashes(destination, 3)).toBe(false)
  })
})
