import { expect, it } from 'vitest'
import { interfaceKind, interfaceKinds } from '../../../../src/backends/cri/network/interface-kinds.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'

const { signal } = new AbortController()

// As ip of iproute2 6.1 tells them, shortened.
it.each([
  ['bridge', '[{"ifname":"spill0","linkinfo":{"info_kind":"bridge","info_data":{}}}]'],
  [
    'port',
    '[{"ifname":"veth1","master":"spill0","linkinfo":{"info_kind":"veth","info_slave_kind":"bridge"}}]',
  ],
  [
    'captive',
    '[{"ifname":"veth1","master":"ovs-system","linkinfo":{"info_kind":"veth","info_slave_kind":"openvswitch"}}]',
  ],
  ['free', '[{"ifname":"veth1","linkinfo":{"info_kind":"veth"}}]'],
  ['ifb', '[{"ifname":"bwp0123456789a","linkinfo":{"info_kind":"ifb"}}]'],
  ['device', '[{"ifname":"eth0"}]'],
  ['none', '[]'],
])('an interface is known as: %s', (kind, said) => {
  expect(interfaceKind(said)).toBe(kind)
})

it('one that is gone is none, and a question that fails otherwise is no answer', async () => {
  const fails = (message: string) => ({
    read: () => Promise.reject(new SpillwayError('Unavailable', message)),
  })
  const gone = fails('ip link: Device "veth1" does not exist.')
  expect(await interfaceKinds(['veth1'], gone, signal)).toEqual(new Map([['veth1', 'none']]))
  await expect(interfaceKinds(['veth1'], fails('ip: not found'), signal)).rejects.toThrow('ip: not found')
})
