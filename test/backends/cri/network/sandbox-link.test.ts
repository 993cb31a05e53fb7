import { describe, expect, it } from 'vitest'
import {
  hostInterfaces,
  isOnHostNetwork,
  sandboxLink,
  type InterfaceKind,
} from '../../../../src/backends/cri/network/sandbox-link.ts'
import type { CniInterfaces } from '../../../../src/backends/cri/runtime/cni-interfaces.ts'
import { sandbox } from '../seen.ts'

const status = sandbox(0, { network: { ip: '10.245.0.11', additionalIps: [{ ip: 'fd00::11' }] } })

function kinds(of: Readonly<Record<string, InterfaceKind>>): ReadonlyMap<string, InterfaceKind> {
  return new Map(Object.entries(of))
}

const inPod = '/var/run/netns/cni-1'
const ofBridgePlugin: CniInterfaces = {
  spill0: { Mac: '02:00:00:00:00:01' },
  veth1: { Mac: '02:00:00:00:00:02', Sandbox: '' },
  eth0: { Mac: 'AA:00:00:00:00:03', Sandbox: inPod },
  lo: { Sandbox: inPod },
}

describe('how a sandbox hangs on the network', () => {
  it('is by a port of a bridge with CNI’s bridge plugin', () => {
    expect(hostInterfaces(ofBridgePlugin)).toEqual(['spill0', 'veth1'])
    expect(sandboxLink(status, ofBridgePlugin, kinds({ spill0: 'bridge', veth1: 'port' }))).toEqual({
      sandboxId: status.id,
      hostInterface: 'veth1',
      bridged: true,
      mac: 'aa:00:00:00:00:03',
      addresses: ['10.245.0.11', 'fd00::11'],
    })
  })

  it('is the same where the bandwidth plugin has put a device of its own beside', () => {
    const told = { spill0: {}, veth1: {}, bwp1: { Mac: '02:00:00:00:00:09' } }
    const link = sandboxLink(status, told, kinds({ spill0: 'bridge', veth1: 'port', bwp1: 'ifb' }))
    expect(link?.hostInterface).toBe('veth1')
  })

  it('is by an interface of the machine with a plugin that routes, which may not tell the hardware address', () => {
    // containerd makes up the Pod's own end where the plugin does not tell of it.
    const told = { cali1: {}, eth0: {} }
    expect(sandboxLink(status, told, kinds({ cali1: 'free', eth0: 'device' }))).toEqual({
      sandboxId: status.id,
      hostInterface: 'cali1',
      bridged: false,
      addresses: ['10.245.0.11', 'fd00::11'],
    })
  })

  it.each([
    ['the runtime tells of no interface', {}, {}],
    ['it is gone', ofBridgePlugin, { spill0: 'bridge', veth1: 'none' }],
    ['what it hangs on is unknown to our rules', ofBridgePlugin, { spill0: 'bridge', veth1: 'captive' }],
    ['it is a device of the machine', { eno1: {} }, { eno1: 'device' }],
    ['there are two', { veth1: {}, veth2: {} }, { veth1: 'free', veth2: 'free' }],
  ] as const)('is not known where %s', (_why, told, of) => {
    expect(sandboxLink(status, told, kinds(of))).toBeUndefined()
  })

  it('is the machine’s own network where the runtime says so', () => {
    const on = (network: 'NODE' | 'POD') => ({ ...status, linux: { namespaces: { options: { network } } } })
    expect(isOnHostNetwork(on('NODE'))).toBe(true)
    expect(isOnHostNetwork(on('POD'))).toBe(false)
    expect(isOnHostNetwork(status)).toBe(false)
    expect(isOnHostNetwork({ ...status, linux: null })).toBe(false)
  })
})
