import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { podHostname, writeEtcHosts } from '../../../../src/backends/cri/translate/pod-files.ts'
import { podOf } from '../fake-sources.ts'

describe('podHostname', () => {
  it('is the name of the Pod, cut to what the kernel takes', () => {
    expect(podHostname(podOf({}), 'cluster.local').sandboxHostname).toBe('web')
    const name = `${'a'.repeat(62)}-bcd`
    expect(podHostname(podOf({}, { name }), 'cluster.local').hostname).toBe('a'.repeat(62))
  })

  it('takes hostname and subdomain into a full name', () => {
    const pod = podOf({ hostname: 'db', subdomain: 'store' })
    expect(podHostname(pod, 'cluster.local')).toEqual({
      hostname: 'db',
      domain: 'store.shop.svc.cluster.local',
      sandboxHostname: 'db',
    })
    const full = podOf({ hostname: 'db', subdomain: 'store', setHostnameAsFQDN: true })
    expect(podHostname(full, 'cluster.local').sandboxHostname).toBe('db.store.shop.svc.cluster.local')
  })

  it('refuses a full name that the kernel cannot hold', () => {
    const pod = podOf({ hostname: 'd'.repeat(50), subdomain: 'store', setHostnameAsFQDN: true })
    expect(() => podHostname(pod, 'cluster.local')).toThrow('is too long (64 characters is the max, 79')
  })

  it('gives hostnameOverride the last word', () => {
    const pod = podOf({ hostname: 'db', subdomain: 'store', hostnameOverride: 'a.b' })
    expect(podHostname(pod, 'cluster.local')).toEqual({ hostname: 'a.b', domain: '', sandboxHostname: 'a.b' })
  })
})

describe('writeEtcHosts', () => {
  it('writes what kubelet writes, aliases last', async () => {
    const podDir = await mkdtemp(join(tmpdir(), 'spillway-hosts-'))
    const pod = podOf({
      subdomain: 'store',
      hostAliases: [{ ip: '1.2.3.4', hostnames: ['a.example', 'b.example'] }],
    })
    const path = await writeEtcHosts({
      pod,
      podDir,
      podIps: ['10.1.0.7', 'fd00::7'],
      clusterDomain: 'cluster.local',
    })
    expect(await readFile(path, 'utf8')).toBe(
      [
        '# Kubernetes-managed hosts file.',
        '127.0.0.1\tlocalhost',
        '::1\tlocalhost ip6-localhost ip6-loopback',
        'fe00::0\tip6-localnet',
        'fe00::0\tip6-mcastprefix',
        'fe00::1\tip6-allnodes',
        'fe00::2\tip6-allrouters',
        '10.1.0.7\tweb.store.shop.svc.cluster.local\tweb',
        'fd00::7\tweb.store.shop.svc.cluster.local\tweb',
        '',
        '# Entries added by HostAliases.',
        '1.2.3.4\ta.example\tb.example',
        '',
      ].join('\n'),
    )
    await rm(podDir, { recursive: true })
  })

  it("keeps the node's own file for a Pod on the node's network", async () => {
    const podDir = await mkdtemp(join(tmpdir(), 'spillway-hosts-'))
    const path = await writeEtcHosts({
      pod: podOf({ hostNetwork: true }),
      podDir,
      podIps: [],
      clusterDomain: 'c',
    })
    const node = await readFile('/etc/hosts', 'utf8')
    expect(await readFile(path, 'utf8')).toBe(`# Kubernetes-managed hosts file (host network).\n${node}`)
    await rm(podDir, { recursive: true })
  })
})
