import { describe, expect, it } from 'vitest'
import { readCertificates } from '../../../../src/backends/cri/volumes/pem-certificates.ts'
import { trustAnchors } from '../../../../src/backends/cri/volumes/trust-anchors.ts'
import type { ClusterTrustBundle } from '../../../../src/model/kubernetes.ts'

/** Only the envelope counts here: what is in it is the API server's business. */
function pem(text: string, headers = ''): string {
  const body = Buffer.from(text).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${headers}${body}\n-----END CERTIFICATE-----\n`
}

function bundle(
  name: string,
  trustBundle: string,
  { signerName, labels = {} }: { signerName?: string; labels?: Record<string, string> } = {},
): ClusterTrustBundle {
  return { metadata: { name, labels }, spec: { trustBundle, ...(signerName && { signerName }) } }
}

function contents(bytes: Buffer): string[] {
  return readCertificates(String(bytes)).map(String).sort()
}

const signerName = 'example.com/mesh'
const bundles = [
  bundle('plain', pem('one') + pem('two') + pem('one')),
  bundle('example.com:mesh:a', pem('two') + pem('three'), { signerName, labels: { live: 'yes' } }),
  bundle('example.com:mesh:b', pem('three') + pem('four'), { signerName, labels: { live: 'yes' } }),
  bundle('example.com:mesh:c', pem('old'), { signerName, labels: { live: 'no' } }),
  bundle('example.org:other:a', pem('foreign'), { signerName: 'example.org/other', labels: { live: 'yes' } }),
]

describe('the trust anchors of a Pod', () => {
  it('are those of one bundle by name, each once', () => {
    expect(contents(trustAnchors({ name: 'plain', path: 'x' }, bundles, 'uid'))).toEqual(['one', 'two'])
  })

  it('are those of all bundles of a signer that the selector matches, each once', () => {
    const live = { signerName, labelSelector: { matchLabels: { live: 'yes' } }, path: 'x' }
    expect(contents(trustAnchors(live, bundles, 'uid'))).toEqual(['four', 'three', 'two'])
    const all = { signerName, labelSelector: {}, path: 'x' }
    expect(contents(trustAnchors(all, bundles, 'uid'))).toEqual(['four', 'old', 'three', 'two'])
  })

  it('are bare PEM blocks: no headers, no text between, no other kinds', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
    const text = `Issuer: example\n${pem('one', 'Proc-Type: 4,ENCRYPTED\n\n')}and\r\n${key}${pem('two')}`
    const anchors = trustAnchors({ name: 'told', path: 'x' }, [bundle('told', text)], 'uid')
    expect([pem('one') + pem('two'), pem('two') + pem('one')]).toContain(String(anchors))
  })

  it('have an order that is the same for one Pod, and another for others', () => {
    const of = (uid: string): string => String(trustAnchors({ name: 'plain', path: 'x' }, bundles, uid))
    expect(of('uid')).toBe(of('uid'))
    expect(new Set(Array.from({ length: 32 }, (_, index) => of(`uid-${index}`))).size).toBe(2)
  })

  it('are missing in kubelet’s words, unless that is optional', () => {
    const select = (projection: object): Buffer => trustAnchors({ path: 'x', ...projection }, bundles, 'uid')
    expect(() => select({ name: 'none' })).toThrow(
      'while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io "none" not found',
    )
    // No selector matches nothing.
    expect(() => select({ signerName })).toThrow(
      'combination of signerName and labelSelector matched zero ClusterTrustBundles',
    )
    expect(() => select({})).toThrow(
      'ClusterTrustBundle projection requires either name or signerName to be set',
    )
    expect(String(select({ name: 'none', optional: true }))).toBe('')
    expect(String(select({ signerName, optional: true }))).toBe('')
  })
})
