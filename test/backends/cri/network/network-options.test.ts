import { expect, it } from 'vitest'
import { criOptionProblems } from '../../../../src/backends/cri/config.ts'
import { defaultBlockedAddresses } from '../../../../src/backends/cri/network/network-options.ts'
import { parseNetwork } from '../../../../src/backends/cri/network/ip-network.ts'

const needed = { socket: '/s', stateDir: '/d', cgroupParent: '/spillway/pods' }

function problems(network: object): string[] {
  return criOptionProblems({ ...needed, network }, 'options')
}

it('the options of the network may be left out, and be all given', () => {
  expect(criOptionProblems(needed, 'options')).toEqual([])
  expect(problems({})).toEqual([])
  const all = {
    isolation: 'Off',
    hostPorts: ['53/UDP', '65535/TCP'],
    blockedAddresses: ['10.0.0.1', 'fd00::/8'],
  }
  expect(problems(all)).toEqual([])
})

it.each([
  [{ isolation: 'Maybe' }, 'isolation'],
  [{ hostPorts: ['53'] }, 'hostPorts[0]'],
  [{ hostPorts: ['53/udp'] }, 'hostPorts[0]'],
  [{ hostPorts: ['0/TCP'] }, 'hostPorts[0]'],
  [{ hostPorts: ['80/TCP', '65536/TCP'] }, 'hostPorts[1]: found "65536/TCP"; allowed: ports up to 65535'],
  [
    { blockedAddresses: ['metadata.internal'] },
    'blockedAddresses[0]: found "metadata.internal"; allowed: an IP address',
  ],
  [{ open: true }, 'open'],
])('one that is wrong is named: %j', (network, named) => {
  const found = problems(network)
  expect(found).toHaveLength(1)
  expect(found[0]).toContain(`options.network`)
  expect(found[0]).toContain(named)
})

it('what is blocked by default is addresses', () => {
  expect(defaultBlockedAddresses.map((text) => parseNetwork(text)?.text)).toEqual(defaultBlockedAddresses)
})
