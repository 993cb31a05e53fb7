import { describe, expect, it } from 'vitest'
import {
  changeScript,
  removalScript,
  tableName,
  wholeScript,
  type IsolationFacts,
} from '../../../../src/backends/cri/network/isolation-rules.ts'
import type { SandboxLink } from '../../../../src/backends/cri/network/sandbox-link.ts'

const bridged: SandboxLink = {
  sandboxId: 'aaaa',
  hostInterface: 'veth1',
  bridged: true,
  mac: '02:00:00:00:00:11',
  addresses: ['10.245.0.11', 'fd00:245::11'],
}
const routed: SandboxLink = {
  sandboxId: 'bbbb',
  hostInterface: 'cali12345678901',
  bridged: false,
  addresses: ['10.245.0.12'],
}
const facts: IsolationFacts = {
  table: 'spillway-test-12345678',
  hostPorts: ['6443/TCP', '53/UDP'],
  blockedAddresses: ['169.254.0.0/16', '100.100.100.200', 'fd00:ec2::254/128'],
  nameServers: ['169.254.169.253', 'fd00::53'],
  doors: [
    { address: '10.0.0.5', port: 10_250 },
    { address: 'fd00::5', port: 10_250 },
  ],
  links: [bridged, routed],
}
const none = { doors: [], links: [] }

describe('the rules of isolation', () => {
  it('are these for two Pods, one on a bridge and one that is routed to', async () => {
    await expect(wholeScript(facts)).toMatchFileSnapshot('golden/isolation.nft')
  })

  it('are whole without Pods, doors, open ports and blocked addresses', async () => {
    const bare = { ...facts, ...none, hostPorts: [], blockedAddresses: [], nameServers: [] }
    await expect(wholeScript(bare)).toMatchFileSnapshot('golden/isolation-bare.nft')
  })

  it('come and go with a Pod, in one transaction', () => {
    expect(changeScript('t', none, { doors: [], links: [routed] }).split('\n')).toEqual([
      'add chain inet t pod-bbbb',
      'add rule inet t pod-bbbb ip saddr { 10.245.0.12 } accept',
      expect.stringMatching(
        /^add rule inet t pod-bbbb ip6 saddr \{ :: \} icmpv6 type \{ nd-neighbor-solicit, .* \} accept$/,
      ),
      'add rule inet t pod-bbbb counter name spoofed drop',
      'add element inet t wires { "cali12345678901" : jump pod-bbbb }',
      'add element inet t pods4 { 10.245.0.12 }',
      '',
    ])
    expect(changeScript('t', { doors: [], links: [routed] }, none).split('\n')).toEqual([
      'delete element inet t wires { "cali12345678901" : jump pod-bbbb }',
      'flush chain inet t pod-bbbb',
      'delete chain inet t pod-bbbb',
      'delete element inet t pods4 { 10.245.0.12 }',
      '',
    ])
  })

  it('leave the address of a Pod in place that has been given to the next one meanwhile', () => {
    const next = { ...routed, sandboxId: 'cccc', hostInterface: 'cali22222222222' }
    const script = changeScript('t', { doors: [], links: [routed, next] }, { doors: [], links: [next] })
    expect(script).toContain('delete chain inet t pod-bbbb')
    expect(script).not.toContain('pods4')
  })

  it('free an interface before its next Pod is given it', () => {
    const next = { ...routed, sandboxId: 'cccc' }
    const lines = changeScript('t', { doors: [], links: [routed] }, { doors: [], links: [next] }).split('\n')
    const at = (start: string) => lines.findIndex((line) => line.startsWith(start))
    expect(at('delete element inet t wires')).toBeGreaterThanOrEqual(0)
    expect(at('add element inet t wires')).toBeGreaterThan(at('delete element inet t wires'))
  })

  it('follow the doors of nodes', () => {
    const [one, two] = [
      { address: '10.0.0.5', port: 10_250 },
      { address: '10.0.0.6', port: 10_261 },
    ] as const
    const script = changeScript('t', { doors: [one], links: [] }, { doors: [two], links: [] })
    expect(script).toBe(
      'delete element inet t doors4 { 10.0.0.5 . 10250 }\nadd element inet t doors4 { 10.0.0.6 . 10261 }\n',
    )
  })

  it('are nothing to do where nothing differs, and name an address once that two tell', () => {
    expect(changeScript('t', facts, { ...facts, links: [{ ...bridged }, { ...routed }] })).toBe('')
    const twice = { doors: [...facts.doors, ...facts.doors], links: [] }
    expect(changeScript('t', none, twice)).toContain('doors4 { 10.0.0.5 . 10250 }\n')
  })

  it('are taken away whether they are there or not', () => {
    expect(removalScript('t').split('\n')).toEqual([
      'add table bridge t',
      'delete table bridge t',
      'add table inet t',
      'delete table inet t',
    ])
  })

  it('are in tables that no other backend, instance or cluster has', () => {
    const owner = { clusterUid: 'c', instance: 'my cluster/1', backend: 'local' }
    expect(tableName(owner)).toMatch(/^spillway-my-cluster-1-[0-9a-f]{8}$/)
    const others = [
      owner,
      { ...owner, clusterUid: 'd' },
      { ...owner, instance: 'my-cluster-1' },
      { ...owner, backend: 'other' },
    ]
    expect(new Set(others.map(tableName)).size).toBe(others.length)
  })
})
