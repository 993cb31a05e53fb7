import 'reflect-metadata'
import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  AuthorityKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  type Extension,
  type JsonGeneralName,
  type JsonName,
} from '@peculiar/x509'
import { readIfThere } from './write-if-changed.ts'

/** Files of a certificate and its key, PEM. */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
}

export interface CertificateRequest {
  /** File name without ending: `apiserver` makes `apiserver.crt` and `apiserver.key`. */
  readonly fileName: string
  readonly commonName: string
  /** Kubernetes reads them as groups. */
  readonly organizations?: readonly string[]
  /** `server` certificates carry these names; a client needs none. */
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly usages: readonly ('client' | 'server')[]
}

// What every Kubernetes component takes and what is fast to make: 30 RSA keys would cost seconds.
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
// The clusters are short-lived; a year outlasts them without being for ever.
const validForMs = 365 * 24 * 3_600_000
// Clocks of containers and virtual machines that were paused run behind.
const backdatedMs = 3_600_000

/** A certificate authority that lives in a folder: `<name>.crt` and `<name>.key`. */
export class CertificateAuthority {
  readonly #dir: string
  readonly #certificate: X509Certificate
  readonly #key: webcrypto.CryptoKey
  readonly certFile: string
  readonly keyFile: string
  /** The certificate, PEM. */
  readonly pem: string

  private constructor(dir: string, name: string, certificate: X509Certificate, key: webcrypto.CryptoKey) {
    this.#dir = dir
    this.#certificate = certificate
    this.#key = key
    this.certFile = join(dir, `${name}.crt`)
    this.keyFile = join(dir, `${name}.key`)
    this.pem = `${certificate.toString('pem')}\n`
  }

  /** The authority of that folder, made when there is none. */
  static async open(dir: string, name: string, nowMs: number): Promise<CertificateAuthority> {
    const certText = await readIfThere(join(dir, `${name}.crt`))
    const keyText = await readIfThere(join(dir, `${name}.key`))
    if (certText !== undefined && keyText !== undefined) {
      const certificate = new X509Certificate(certText)
      return new CertificateAuthority(dir, name, certificate, await importKey(keyText))
    }
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: serialNumber(),
      name: [{ CN: [`spillway-${name}`] }],
      ...validity(nowMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.digitalSignature, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    })
    const authority = new CertificateAuthority(dir, name, certificate, keys.privateKey)
    await writeFile(authority.keyFile, await keyPem(keys.privateKey), { mode: 0o600 })
    await writeFile(authority.certFile, authority.pem)
    return authority
  }

  /** Signs a certificate for a new key and writes both. One that is there already is kept: programs are using it. */
  async issue(request: CertificateRequest, nowMs: number): Promise<CertificateFiles> {
    const files = {
      certFile: join(this.#dir, `${request.fileName}.crt`),
      keyFile: join(this.#dir, `${request.fileName}.key`),
    }
    if ((await readIfThere(files.certFile)) !== undefined) return files
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: subjectName(request),
      issuer: this.#certificate.subjectName,
      ...validity(nowMs),
      publicKey: keys.publicKey,
      signingKey: this.#key,
      signingAlgorithm: algorithm,
      extensions: await leafExtensions(request, this.#certificate),
    })
    await writeFile(files.keyFile, await keyPem(keys.privateKey), { mode: 0o600 })
    await writeFile(files.certFile, `${certificate.toString('pem')}\n`)
    return files
  }
}

/** The key pair with which ServiceAccount tokens are signed and checked: `sa.key` and `sa.pub`. */
export async function openServiceAccountKey(
  dir: string,
): Promise<{ readonly keyFile: string; readonly publicKeyFile: string }> {
  const files = { keyFile: join(dir, 'sa.key'), publicKeyFile: join(dir, 'sa.pub') }
  if ((await readIfThere(files.publicKeyFile)) !== undefined) return files
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const pem = await keyPem(keys.privateKey)
  await writeFile(files.keyFile, pem, { mode: 0o600 })
  await writeFile(files.publicKeyFile, createPublicKey(pem).export({ type: 'spki', format: 'pem' }))
  return files
}

function subjectName({ commonName, organizations = [] }: CertificateRequest): JsonName {
  return [...organizations.map((name) => ({ O: [name] })), { CN: [commonName] }]
}

async function leafExtensions(request: CertificateRequest, issuer: X509Certificate): Promise<Extension[]> {
  const names: JsonGeneralName[] = [
    ...(request.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ]
  const usages = request.usages.map((usage) =>
    usage === 'client' ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth,
  )
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(usages),
    await AuthorityKeyIdentifierExtension.create(issuer),
    ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)]),
  ]
}

function validity(nowMs: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - backdatedMs), notAfter: new Date(nowMs + validForMs) }
}

// Random, as RFC 5280 wants; the first bit stays clear because a serial number is positive.
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16))
  return `40${Buffer.from(bytes).toString('hex')}`
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' })
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign'])
}
