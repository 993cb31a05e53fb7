import 'reflect-metadata'
import { createPrivateKey, webcrypto } from 'node:crypto'
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509'
import { describe, expect, it } from 'vitest'
import { newSigningRequest, readSigningRequest } from '../../../src/node/certificates/signing-request.ts'
import { clientSubject, servingSubject } from '../../../src/node/certificates/subject.ts'

describe('a signing request', () => {
  it('says what it was made to say', async () => {
    const subject = servingSubject('burst-0', ['fd00:0:0::5', '10.0.0.5', '10.0.0.5'])
    const { request, key } = await newSigningRequest(subject)
    expect(subject).toEqual({
      commonName: 'system:node:burst-0',
      organizations: ['system:nodes'],
      dnsNames: ['burst-0'],
      ipAddresses: ['10.0.0.5', 'fd00::5'],
    })
    expect(await readSigningRequest(request)).toEqual({ ...subject, otherNames: [] })
    expect(createPrivateKey(key).asymmetricKeyType).toBe('ec')
    const client = await newSigningRequest(clientSubject('burst-0'))
    expect(await readSigningRequest(client.request)).toMatchObject({ dnsNames: [], ipAddresses: [] })
  })

  it('is nothing when it is not readable, or was changed after it was signed', async () => {
    const { request } = await newSigningRequest(clientSubject('burst-0'))
    expect(await readSigningRequest('nonsense')).toBeUndefined()
    const der = Buffer.from(request.replaceAll(/-----.*-----/g, ''), 'base64')
    const at = der.indexOf('burst-0')
    der.write('burst-1', at)
    const changed = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    expect(at).toBeGreaterThan(0)
    expect(await readSigningRequest(changed)).toBeUndefined()
  })

  it('hides no names of other kinds', async () => {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const request = await Pkcs10CertificateRequestGenerator.create({
      name: [{ O: ['system:nodes'] }, { OU: ['x'] }, { CN: ['system:node:burst-0'] }],
      extensions: [
        new SubjectAlternativeNameExtension([
          { type: 'email', value: 'a@b' },
          { type: 'url', value: 'spiffe://x' },
        ]),
      ],
      signingAlgorithm: algorithm,
      keys,
    })
    const stated = await readSigningRequest(request.toString('pem'))
    expect(stated?.otherNames).toEqual(['email', 'url', 'OU'])
  })
})
