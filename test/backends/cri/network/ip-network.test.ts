import { describe, expect, it } from 'vitest'
import {
  ip6Number,
  linkLocalAddress,
  ofFamily,
  parseNetwork,
} from '../../../../src/backends/cri/network/ip-network.ts'

describe('an address or a network', () => {
  it.each([
    ['10.0.0.1', { family: 4, text: '10.0.0.1/32' }],
    ['169.254.0.0/16', { family: 4, text: '169.254.0.0/16' }],
    ['fd00:ec2::254', { family: 6, text: 'fd00:ec2::254/128' }],
    ['fe80::/10', { family: 6, text: 'fe80::/10' }],
  ])('is read: %s', (text, network) => {
    expect(parseNetwork(text)).toEqual(network)
  })

  it.each([
    '',
    'host',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0/8',
    'fe80::1%eth0',
    '1.2.3.4; drop',
  ])('is refused: "%s"', (text) => {
    expect(parseNetwork(text)).toBeUndefined()
  })

  it('has a family', () => {
    expect(ofFamily(['10.0.0.1', '::1', 'x'], 4)).toEqual(['10.0.0.1'])
    expect(ofFamily(['10.0.0.1', '::1', 'x'], 6)).toEqual(['::1'])
  })
})

describe('the link-local address of an interface', () => {
  it('is what the kernel makes of its hardware address', () => {
    expect(linkLocalAddress('02:00:00:00:00:11')).toBe('fe80::0:ff:fe00:11')
    expect(linkLocalAddress('d6:3a:01:9f:00:7c')).toBe('fe80::d43a:1ff:fe9f:7c')
  })

  it.each(['', '02:00:00', 'not:a:mac:at:all:!', '02:00:00:00:00:100'])('is none of "%s"', (mac) => {
    expect(linkLocalAddress(mac)).toBeUndefined()
  })
})

it.each([
  ['::', '0x00000000000000000000000000000000'],
  ['fd00:246:9::11', '0xfd000246000900000000000000000011'],
  ['1:2:3:4:5:6:7:8', '0x00010002000300040005000600070008'],
  ['fe80::', '0xfe800000000000000000000000000000'],
])('an IPv6 address as a number: %s', (address, number) => {
  expect(ip6Number(address)).toBe(number)
})
