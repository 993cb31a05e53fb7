import { describe, expect, it } from 'vitest'
import { dnsConfig, parseResolvConf } from '../../../../src/backends/cri/translate/dns-config.ts'
import { FakeSources, podOf } from '../fake-sources.ts'

const { node } = new FakeSources()
const host = `# made by hand
nameserver 9.9.9.9
search first.example
search corp.example. .
options timeout:2 rotate
`
const ofCluster = ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local']

describe('dnsConfig', () => {
  it('asks the cluster first, then what the node searches', () => {
    expect(dnsConfig(podOf({}), node, host)).toEqual({
      servers: ['10.96.0.10'],
      searches: [...ofCluster, 'corp.example'],
      options: ['ndots:5'],
      warnings: [],
    })
  })

  it('with Default, and for a Pod on the node network, is that of the node', () => {
    const ofNode = {
      servers: ['9.9.9.9'],
      searches: ['corp.example'],
      options: ['timeout:2', 'rotate'],
      warnings: [],
    }
    expect(dnsConfig(podOf({ dnsPolicy: 'Default' }), node, host)).toEqual(ofNode)
    expect(dnsConfig(podOf({ dnsPolicy: 'ClusterFirst', hostNetwork: true }), node, host)).toEqual(ofNode)
    const withHostNet = podOf({ dnsPolicy: 'ClusterFirstWithHostNet', hostNetwork: true })
    expect(dnsConfig(withHostNet, node, host).servers).toEqual(['10.96.0.10'])
  })

  it('merges dnsConfig, its options winning', () => {
    const own = {
      nameservers: ['1.1.1.1', '10.96.0.10'],
      searches: ['own.example'],
      options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
    }
    expect(dnsConfig(podOf({ dnsConfig: own }), node, '')).toEqual({
      servers: ['10.96.0.10', '1.1.1.1'],
      searches: [...ofCluster, 'own.example'],
      options: ['ndots:2', 'edns0'],
      warnings: [],
    })
    expect(dnsConfig(podOf({ dnsPolicy: 'None', dnsConfig: own }), node, host)).toEqual({
      servers: ['1.1.1.1', '10.96.0.10'],
      searches: ['own.example'],
      options: ['ndots:2', 'edns0'],
      warnings: [],
    })
  })

  it('falls back to the node when no cluster DNS is known, and says so', () => {
    const config = dnsConfig(podOf({}), { ...node, clusterDns: [] }, host)
    expect(config.servers).toEqual(['9.9.9.9'])
    const { uid, name, namespace } = podOf({}).metadata ?? {}
    expect(config.warnings).toEqual([
      {
        reason: 'MissingClusterDNS',
        message: `pod: "${name}_${namespace}(${uid})". kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`,
      },
    ])
  })

  it('keeps to the limits of resolvers and tells what it left out', () => {
    const nameservers = ['1.1.1.1', '2.2.2.2', '3.3.3.3']
    const searches = Array.from({ length: 40 }, (_, index) => `d${index}.example`)
    const config = dnsConfig(podOf({ dnsConfig: { nameservers, searches } }), node, '')
    expect(config.servers).toEqual(['10.96.0.10', '1.1.1.1', '2.2.2.2'])
    expect(config.searches).toHaveLength(32)
    expect(config.warnings.map(({ reason }) => reason)).toEqual(['DNSConfigForming', 'DNSConfigForming'])
  })
})

describe('parseResolvConf', () => {
  it('adds up servers, and takes the last search line', () => {
    expect(parseResolvConf('nameserver 1.1.1.1\nnameserver 2.2.2.2\n;x\nsearch a\nsearch b c\n')).toEqual({
      servers: ['1.1.1.1', '2.2.2.2'],
      searches: ['b', 'c'],
      options: [],
    })
  })
})
