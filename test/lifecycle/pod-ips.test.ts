import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { podIpsAmong } from '../../src/lifecycle/pod-ips.ts'

describe('the addresses of a Pod', () => {
  it.each([
    [['10.1.0.7'], ['10.200.0.1'], ['10.1.0.7']],
    [['fd00::7', '10.1.0.7'], ['10.200.0.1'], ['10.1.0.7', 'fd00::7']],
    [
      ['10.1.0.7', 'fd00::7'],
      ['fd00:1::1', '10.200.0.1'],
      ['fd00::7', '10.1.0.7'],
    ],
    [['10.1.0.7', '192.168.0.7', 'fd00::7', 'fd00:2::7'], ['10.200.0.1'], ['10.1.0.7', 'fd00::7']],
    [['fd00::7'], ['10.200.0.1'], ['fd00::7']],
    [['10.1.0.7', 'fd00::7'], [], ['10.1.0.7', 'fd00::7']],
    [[], ['10.200.0.1'], []],
  ])('among %j on a node at %j are %j', (sandboxIps, hostIps, podIps) =>
    expect(podIpsAmong(sandboxIps, hostIps)).toEqual(podIps),
  )

  it('are the same when they are looked for among themselves', () => {
    const ips = fc.array(fc.oneof(fc.ipV4(), fc.ipV6()))
    fc.assert(
      fc.property(ips, ips, (sandboxIps, hostIps) => {
        const once = podIpsAmong(sandboxIps, hostIps)
        expect(podIpsAmong(once, hostIps)).toEqual(once)
        expect(once.length).toBeLessThanOrEqual(2)
      }),
    )
  })
})
