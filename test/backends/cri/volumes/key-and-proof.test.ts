import 'reflect-metadata'
import { createPrivateKey } from 'node:crypto'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { expect, test } from 'vitest'
import { newKeyAndProof } from '../../../../src/backends/cri/volumes/key-and-proof.ts'

test.each([
  ['RSA3072', 'rsa', { modulusLength: 3072 }],
  ['RSA4096', 'rsa', { modulusLength: 4096 }],
  ['ECDSAP256', 'ec', { namedCurve: 'prime256v1' }],
  ['ECDSAP384', 'ec', { namedCurve: 'secp384r1' }],
  ['ECDSAP521', 'ec', { namedCurve: 'secp521r1' }],
  ['ED25519', 'ed25519', {}],
])(
  'a key of type %s comes with a request that says nothing and proves it',
  async (keyType, kind, details) => {
    const { keyPem, stubRequest } = await newKeyAndProof(keyType)
    const key = createPrivateKey(keyPem)
    expect(key.asymmetricKeyType).toBe(kind)
    expect(key.asymmetricKeyDetails).toMatchObject(details)
    expect(keyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n[\s\S]+-----END PRIVATE KEY-----\n$/)
    const request = new Pkcs10CertificateRequest(new Uint8Array(stubRequest))
    expect(await request.verify()).toBe(true)
    expect(request.subject).toBe('')
    expect(request.extensions).toEqual([])
  },
)

test('another type of key is refused with those that are allowed', async () => {
  await expect(newKeyAndProof('DSA1024')).rejects.toThrow(
    'keyType is "DSA1024"; allowed: RSA3072, RSA4096, ECDSAP256, ECDSAP384, ECDSAP521, ED25519',
  )
})
